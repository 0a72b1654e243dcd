-- Records completions, whose error message is NULL, and failures, under the locks of runs and tasks. The arrays run
-- parallel. Returns the positions, from 1, of the reports that were recorded, and the runs in which a step ended, or NULL.
create or replace function pgflow._record_reports(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[],
  p_outputs jsonb[],
  p_error_messages text[],
  p_final boolean[],
  p_retry_delays int[],
  out recorded int[],
  out run_ids uuid[]
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
  foreach v_has_failed in array array[false, true] loop
    select
      array_agg("position"::int) as positions,
      array_agg(run_id) as run_ids, array_agg(step_slug) as step_slugs, array_agg(task_index) as task_indexes,
      array_agg(attempt) as attempts, array_agg(output) as outputs, array_agg(error_message) as error_messages,
      array_agg(final) as finals, array_agg(retry_delay) as retry_delays
    into v_report
    from unnest(
      p_run_ids, p_step_slugs, p_task_indexes, p_attempts, p_outputs, p_error_messages, p_final, p_retry_delays
    ) with ordinality
      as report (run_id, step_slug, task_index, attempt, output, error_message, final, retry_delay, "position")
    where (report.error_message is not null) = v_has_failed;
    continue when v_report.positions is null;

    if v_has_failed then
      select * into v_done
      from pgflow._record_failures(
        v_report.run_ids, v_report.step_slugs, v_report.task_indexes, v_report.error_messages, v_report.attempts,
        v_report.finals, v_report.retry_delays);
    else
      select * into v_done
      from pgflow._record_completions(
        v_report.run_ids, v_report.step_slugs, v_report.task_indexes, v_report.outputs, v_report.attempts);
    end if;
    recorded := recorded || array(select v_report.positions[number] from unnest(v_done.recorded) as number);
    run_ids := run_ids || v_done.run_ids;
  end loop;
end
$$;
