-- The only way out for events. Nobody listens where the database has no realtime.send, now, at the time of the call.
create or replace function pgflow._emit_event(payload jsonb, event text, topic text)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  if to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null then
    execute 'select realtime.send($1, $2, $3, false)' using payload, event, topic;
  end if;
end
$$;
