-- Records completions, whose error message is NULL, and failures, under the locks of runs and tasks: p_row_ids and
-- p_flow_slugs are what _lock_reported gave. The arrays run parallel. Returns the positions, from 1, of the reports that
-- were recorded; the runs that are to be advanced; the steps that were started and have no tasks yet; the runs that
-- completions have ended; and whether there were failures. NULLs for none.
create or replace function pgflow._record_reports(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[],
  p_outputs jsonb[],
  p_error_messages text[],
  p_final boolean[],
  p_retry_delays int[],
  p_row_ids tid[],
  p_flow_slugs text[],
  out recorded int[],
  out run_ids uuid[],
  out started_run_ids uuid[],
  out started_step_slugs text[],
  out ended_runs pgflow.ended_run[],
  out has_failures boolean
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_has_failed boolean;
  v_report record;
  v_done record;
begin
  recorded := '{}';
  has_failures := exists (select from unnest(p_error_messages) as error_message where error_message is not null);
  if not has_failures then
    select * into recorded, run_ids, started_run_ids, started_step_slugs, ended_runs
    from pgflow._record_completions(
      p_run_ids, p_step_slugs, p_task_indexes, p_outputs, p_attempts, p_row_ids, p_flow_slugs);
    return;
  end if;

  foreach v_has_failed in array array[false, true] loop
    select
      array_agg("position"::int) as positions,
      array_agg(run_id) as run_ids, array_agg(step_slug) as step_slugs, array_agg(task_index) as task_indexes,
      array_agg(attempt) as attempts, array_agg(output) as outputs, array_agg(error_message) as error_messages,
      array_agg(final) as finals, array_agg(retry_delay) as retry_delays,
      array_agg(row_id) as row_ids, array_agg(flow_slug) as flow_slugs
    into v_report
    from unnest(
      p_run_ids, p_step_slugs, p_task_indexes, p_attempts, p_outputs, p_error_messages, p_final, p_retry_delays,
      p_row_ids, p_flow_slugs
    ) with ordinality as report (
      run_id, step_slug, task_index, attempt, output, error_message, final, retry_delay, row_id, flow_slug, "position"
    )
    where (report.error_message is not null) = v_has_failed;
    continue when v_report.positions is null;

    if v_has_failed then
      select done.recorded, done.run_ids into v_done
      from pgflow._record_failures(
        v_report.run_ids, v_report.step_slugs, v_report.task_indexes, v_report.error_messages, v_report.attempts,
        v_report.finals, v_report.retry_delays) as done;
    else
      select done.* into v_done
      from pgflow._record_completions(
        v_report.run_ids, v_report.step_slugs, v_report.task_indexes, v_report.outputs, v_report.attempts,
        v_report.row_ids, v_report.flow_slugs, p_starts => false) as done;  -- a failure may end their runs
      started_run_ids := v_done.started_run_ids;
      started_step_slugs := v_done.started_step_slugs;
      ended_runs := v_done.ended_runs;
    end if;
    recorded := recorded || array(select v_report.positions[number] from unnest(v_done.recorded) as number);
    run_ids := run_ids || v_done.run_ids;
  end loop;
end
$$;
