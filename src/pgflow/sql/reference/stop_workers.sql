-- These cores have no column for the end of a worker; one that is deprecated isn't counted on any more.
create or replace function pgflow.stop_workers(p_worker_ids uuid[])
returns void
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with stopped as (
    update pgflow.workers w
    set deprecated_at = coalesce(w.deprecated_at, clock_timestamp())
    where w.worker_id = any (p_worker_ids)
    returning w.worker_id
  )
  select count(*) from stopped
$$;
comment on function pgflow.stop_workers(uuid[]) is 'Says that these workers have ended.';
