-- What becomes of each failure report, judged under the locks of runs and tasks:
--   fail, skip, skip-cascade  the task is exhausted, and its step says what follows
--   retry                     the task goes back to the queue, for the delay given or by the formula
--   run_failed                the run has failed, before or by another report of this batch: the task fails with it
--   late                      the step doesn't go on: only the message goes
--   ignored                   the report is for a task that isn't started, or for another attempt
-- A final report leaves no attempts, and neither does a task that recovery has given up, whose message is gone. Within a
-- batch, a report that fails the run counts before those that don't.
create or replace function pgflow._judge_failures(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_error_messages text[],
  p_attempts int[],
  p_final boolean[],
  p_retry_delays int[]
)
returns setof pgflow._failure
language plpgsql stable
set search_path to pg_catalog, pg_temp
as $$
begin
  return query
    with report as (
      select *
      from unnest(
        p_run_ids, p_step_slugs, p_task_indexes, p_error_messages, p_attempts, p_final, p_retry_delays
      ) with ordinality
        as report (run_id, step_slug, task_index, error_message, attempt, final, retry_delay, "position")
      limit cardinality(p_run_ids)
    ), judged as (
      select report.*, t.flow_slug, t.message_id, t.attempts_count - t.attempts_before_retry as attempts_count,
        coalesce(s.opt_base_delay, f.opt_base_delay) as base_delay,
        case
          when t.status <> 'started' or t.attempts_count <> coalesce(report.attempt, t.attempts_count) then
            case when t.run_status = 'failed' or t.step_status <> 'started' then 'late' else 'ignored' end
          when t.run_status = 'failed' then 'run_failed'
          when t.step_status <> 'started' then 'late'
          when not coalesce(report.final, false)
            and t.permanently_stalled_at is null
            and t.attempts_count - t.attempts_before_retry < coalesce(s.opt_max_attempts, f.opt_max_attempts) then 'retry'
          else s.when_exhausted
        end as verdict
      from report
      cross join lateral (
        select r.status as run_status, ss.status as step_status, task.*
        from pgflow.runs r, pgflow.step_states ss, pgflow.step_tasks task
        where r.run_id = report.run_id
          and ss.run_id = report.run_id and ss.step_slug = report.step_slug
          and task.run_id = report.run_id and task.step_slug = report.step_slug and task.task_index = report.task_index
        offset 0
      ) as t
      join pgflow.flows f on f.flow_slug = t.flow_slug
      join pgflow.steps s on s.flow_slug = t.flow_slug and s.step_slug = t.step_slug
    ), chosen as (
      -- One report per task: a report for an earlier attempt must not hide the one for the present.
      select distinct on (run_id, step_slug, task_index) *
      from judged
      order by run_id, step_slug, task_index, verdict in ('late', 'ignored'), "position"
    ), ranked as (
      select chosen.*,
        first_value(chosen."position") over (
          partition by run_id order by (verdict = 'fail') desc, chosen."position") as first_in_run,
        bool_or(verdict = 'fail') over (partition by run_id) as run_fails,
        first_value(chosen."position") over (
          partition by run_id, step_slug order by (verdict in ('skip', 'skip-cascade')) desc, chosen."position") as first_in_step
      from chosen
    )
    select
      "position"::int, flow_slug, run_id, step_slug, task_index, message_id, error_message,
      case
        when verdict in ('late', 'ignored') then verdict
        when run_fails and "position" <> first_in_run then 'run_failed'
        when verdict in ('skip', 'skip-cascade') and "position" <> first_in_step then 'late'
        else verdict
      end,
      -- The formula of calculate_retry_delay, without a call for each report.
      greatest(coalesce(
        retry_delay,
        least(floor(base_delay * power(2::numeric, least(attempts_count, 1000))), 2147483647)::int
      ), 0)
    from ranked;
end
$$;
