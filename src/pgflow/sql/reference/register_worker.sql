create or replace function pgflow.register_worker(p_worker_id uuid, p_queue_name text, p_function_name text)
returns void
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with registered as (
    insert into pgflow.workers (worker_id, queue_name, function_name)
    values (p_worker_id, p_queue_name, p_function_name)
    on conflict on constraint workers_pkey do update set last_heartbeat_at = clock_timestamp()
    returning worker_id
  )
  select count(*) from registered
$$;
comment on function pgflow.register_worker(uuid, text, text) is 'Registers a worker.';
