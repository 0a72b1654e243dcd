-- Changes of one flow's definition happen one after the other. The slug is folded as its queue's name is.
create or replace function pgflow._lock_definition(p_flow_slug text)
returns void
language sql
set search_path to pg_catalog, pg_temp
as $$
  select pg_advisory_xact_lock(1, hashtext(lower(p_flow_slug)));
$$;
