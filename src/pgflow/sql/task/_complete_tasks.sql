-- Records the outputs of a batch of tasks and moves on what that ends, in a number of statements that doesn't depend on
-- the size of the batch. Returns the positions, from 1, of the reports that were recorded.
create or replace function pgflow._complete_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_outputs jsonb[],
  p_attempts int[] default null
)
returns int[]
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_reported record;
  v_completed record;
begin
  select * into v_reported from pgflow._lock_reported(p_run_ids, p_step_slugs, p_task_indexes);

  select * into v_completed
  from pgflow._record_completions(
    p_run_ids, p_step_slugs, p_task_indexes, p_outputs, p_attempts,
    v_reported.row_ids, v_reported.flow_slugs);
  perform pgflow._advance_runs(
    v_completed.run_ids,
    p_started_run_ids => v_completed.started_run_ids, p_started_step_slugs => v_completed.started_step_slugs);
  return v_completed.recorded;
end
$$;
