create or replace function pgflow.send_heartbeats(p_worker_ids uuid[])
returns uuid[]
language sql
set search_path to pg_catalog, pg_temp
as $$
  with beating as (
    update pgflow.workers w
    set last_heartbeat_at = clock_timestamp()
    where w.worker_id = any (p_worker_ids)
    returning w.worker_id, w.deprecated_at
  )
  select coalesce(array_agg(worker_id) filter (where deprecated_at is not null), '{}') from beating;
$$;
comment on function pgflow.send_heartbeats(uuid[]) is 'Says that these workers are alive, and returns those that are asked to finish their tasks and leave.';
