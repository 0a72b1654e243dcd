create or replace function pgflow.release_lost_tasks(
  p_worker_ids uuid[],
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[]
)
returns int[]
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_lost record;
begin
  select
    array_agg(t.run_id) as run_ids, array_agg(t.step_slug) as step_slugs,
    array_agg(t.task_index) as task_indexes, array_agg(t.attempts_count) as attempts
  into v_lost
  from pgflow.runs r
  join pgflow.step_tasks t on t.run_id = r.run_id
  where r.status = 'started'
    and t.status = 'started'
    and t.last_worker_id = any (p_worker_ids)
    and not exists (
      select
      from unnest(p_run_ids, p_step_slugs, p_task_indexes, p_attempts) as known (run_id, step_slug, task_index, attempt)
      where known.run_id = t.run_id
        and known.step_slug = t.step_slug
        and known.task_index = t.task_index
        and known.attempt = t.attempts_count
    );

  return pgflow.release_tasks(
    v_lost.run_ids, v_lost.step_slugs, v_lost.task_indexes, v_lost.attempts, null, p_worker_ids);
end
$$;
comment on function pgflow.release_lost_tasks(uuid[], uuid[], text[], int[], int[]) is 'Gives back, without counting their attempt, the tasks that these workers have started except those named, each with its attempt: for workers that have lost the answer of a call that started tasks. Returns one element per task.';
