create or replace function pgflow.release_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[],
  p_delays int[] default null,
  p_worker_ids uuid[] default null
)
returns int[]
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
begin
  perform pgflow._lock_runs(p_run_ids);
  perform pgflow._lock_tasks(p_run_ids, p_step_slugs, p_task_indexes);
  return pgflow._record_releases(p_run_ids, p_step_slugs, p_task_indexes, p_attempts, p_delays, p_worker_ids);
end
$$;
comment on function pgflow.release_tasks(uuid[], text[], int[], int[], int[], uuid[]) is 'Gives back a batch of started tasks, each with the attempt it belongs to, without counting that attempt; they become visible again after p_delays seconds (NULL: at once). With p_worker_ids, only tasks that one of these workers has started. Returns the positions, from 1, of the tasks that were put back.';
