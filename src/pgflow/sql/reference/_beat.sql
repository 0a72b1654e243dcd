create or replace function pgflow._beat(
  p_worker_ids uuid[],
  p_queue_names text[],
  p_function_name text,
  p_leaving boolean
)
returns uuid[]
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with beating as (
    insert into pgflow.workers as w (worker_id, queue_name, function_name, deprecated_at)
    select worker.id, worker.queue_name, p_function_name, case when p_leaving then clock_timestamp() end
    from unnest(p_worker_ids, p_queue_names) as worker (id, queue_name)
    order by worker.id
    on conflict on constraint workers_pkey do update
    set last_heartbeat_at = clock_timestamp(),
        deprecated_at = coalesce(w.deprecated_at, excluded.deprecated_at)
    returning w.worker_id, w.deprecated_at
  )
  select coalesce(array_agg(beating.worker_id) filter (where beating.deprecated_at is not null), '{}')
  from beating
$$;
comment on function pgflow._beat(uuid[], text[], text, boolean) is 'Says that workers are alive, registers those that are unknown, and returns those that are asked to leave.';
