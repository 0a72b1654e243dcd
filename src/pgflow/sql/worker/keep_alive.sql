create or replace function pgflow.keep_alive(
  p_worker_ids uuid[],
  p_queue_names text[],
  p_function_name text,
  p_leaving boolean default false,
  p_recover boolean default false,
  out deprecated_ids uuid[],
  out requeued_count int,
  out failed_count int,
  out recovery_error text
)
language plpgsql security definer
set search_path to pg_catalog, pg_temp
as $$
begin
  requeued_count := 0;
  failed_count := 0;
  if p_recover then
    begin
      select recovered.requeued_count, recovered.failed_count into requeued_count, failed_count
      from pgflow.recover_tasks() as recovered;
    exception when others then
      recovery_error := sqlerrm;  -- whatever recovery runs into, the workers are alive
    end;
  end if;

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
  into deprecated_ids
  from beating;
end
$$;
comment on function pgflow.keep_alive(uuid[], text[], text, boolean, boolean) is 'A heartbeat of all workers of a process, in one statement: registers those that are unknown, says that they are alive, or with p_leaving that they finish their tasks and take no more, and returns those that are asked to leave. With p_recover it also does what recover_tasks() does; an error there is returned and hinders nothing.';
