-- Whether anybody wants to be told of changes of a topic.
create or replace function pgflow._has_listeners(p_topic text)
returns boolean
language plpgsql stable
set search_path to pg_catalog, pg_temp
as $$
begin
  return exists (select from pgflow.listeners l where l.topic = p_topic and l.expires_at > clock_timestamp());
end
$$;
