-- Tells listeners of a topic, if there are any; equal notifications of one transaction are sent once.
create or replace function pgflow._notify(p_topic text, p_payload text)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  if pgflow._has_listeners(p_topic) then
    perform pg_notify('pgflow_' || p_topic, p_payload);
  end if;
end
$$;
