-- Records the failures of a batch of tasks and does what follows: retries, failed runs, skipped steps. The arrays run
-- parallel; an attempt that is NULL isn't compared, a final failure isn't retried, a retry delay in seconds stands for
-- the formula's. Returns the positions, from 1, of the reports that were recorded.
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
as $$
declare
  v_failures pgflow._failure[];
begin
  perform pgflow._lock_runs(p_run_ids);
  perform pgflow._lock_tasks(p_run_ids, p_step_slugs, p_task_indexes);

  v_failures := array(
    select failure
    from pgflow._judge_failures(
      p_run_ids, p_step_slugs, p_task_indexes, p_error_messages, p_attempts, p_final, p_retry_delays
    ) as failure
    order by failure."position"
  );

  update pgflow.step_tasks t
  set status = case when failure.verdict = 'retry' then 'queued' else 'failed' end,
      failed_at = case when failure.verdict <> 'retry' then greatest(pgflow._now(), t.started_at, t.queued_at) end,
      started_at = case when failure.verdict <> 'retry' then t.started_at end,
      error_message = failure.error_message
  from (
    select * from unnest(v_failures) as failure where verdict not in ('late', 'ignored') limit cardinality(v_failures)
  ) as failure
  cross join lateral (
    select task.ctid as row_id
    from pgflow.step_tasks task
    where task.run_id = failure.run_id
      and task.step_slug = failure.step_slug
      and task.task_index = failure.task_index
    offset 0
  ) as found
  where t.ctid = found.row_id;

  perform pgflow._apply_failures(v_failures);

  return array(
    select failure."position" from unnest(v_failures) as failure where failure.verdict not in ('late', 'ignored'));
end
$$;
