create or replace function pgflow.register_listener(p_listener_id uuid, p_topic text, p_seconds int default 60)
returns void
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  delete from pgflow.listeners where expires_at < clock_timestamp() - interval '1 minute';

  insert into pgflow.listeners (listener_id, topic, expires_at)
  values (p_listener_id, p_topic, clock_timestamp() + make_interval(secs => p_seconds))
  on conflict on constraint listeners_pkey do update
  set expires_at = excluded.expires_at;
$$;
comment on function pgflow.register_listener(uuid, text, int) is 'Says that a session listens on channel pgflow_runs (topic runs) or pgflow_tasks (topic tasks) for so many seconds; again prolongs it. Notifications are only sent while somebody is registered.';
