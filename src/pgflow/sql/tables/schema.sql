-- The schema itself. Nobody may use it but its owner and whom he grants it to.

create schema if not exists pgflow;
revoke all on schema pgflow from public;

do $$
begin
  if not exists (
    select from pg_attribute
    where attrelid = to_regclass('pgmq.message_record') and attname = 'headers' and not attisdropped
  ) then
    raise exception 'pgflow needs pgmq 1.5.0 or newer in schema pgmq'
      using hint = 'Install or upgrade pgmq first: create extension pgmq, or its SQL-only install.';
  end if;
end
$$;
