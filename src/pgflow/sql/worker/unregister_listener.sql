create or replace function pgflow.unregister_listener(p_listener_id uuid)
returns void
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  delete from pgflow.listeners where listener_id = p_listener_id;
$$;
comment on function pgflow.unregister_listener(uuid) is 'Says that a session listens no more.';
