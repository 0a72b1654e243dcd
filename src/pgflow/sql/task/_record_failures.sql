-- Records the failures of tasks and does what follows, under the locks of runs and tasks: retries, failed runs, skipped
-- steps. The arrays run parallel; an attempt that is NULL isn't compared, a final failure isn't retried, a retry delay in
-- seconds stands for the formula's. Returns the positions, from 1, of the reports that were recorded, and the runs in
-- which a step was skipped, or NULL.
create or replace function pgflow._record_failures(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_error_messages text[],
  p_attempts int[],
  p_final boolean[],
  p_retry_delays int[],
  out recorded int[],
  out run_ids uuid[]
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_failures pgflow._failure[];
begin
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

  run_ids := pgflow._apply_failures(v_failures);
  recorded := array(
    select failure."position" from unnest(v_failures) as failure where failure.verdict not in ('late', 'ignored'));
end
$$;
