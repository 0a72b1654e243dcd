create or replace function pgflow.stop_workers(p_worker_ids uuid[])
returns void
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  update pgflow.workers w
  set stopped_at = clock_timestamp()
  where w.worker_id = any (p_worker_ids);
$$;
comment on function pgflow.stop_workers(uuid[]) is 'Says that these workers have ended.';
