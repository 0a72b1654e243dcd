-- Records the failures of a batch of tasks and moves on what that ends. Returns the positions, from 1, of the reports that
-- were recorded.
create or replace function pgflow._fail_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_error_messages text[],
  p_attempts int[] default null,
  p_final boolean[] default null,
  p_retry_delays int[] default null
)
returns int[]
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_failed record;
begin
  perform pgflow._lock_runs(p_run_ids);
  perform pgflow._lock_tasks(p_run_ids, p_step_slugs, p_task_indexes);

  select * into v_failed
  from pgflow._record_failures(
    p_run_ids, p_step_slugs, p_task_indexes, p_error_messages, p_attempts, p_final, p_retry_delays);
  if v_failed.run_ids is not null then
    perform pgflow._advance_runs(v_failed.run_ids);
  end if;
  return v_failed.recorded;
end
$$;
