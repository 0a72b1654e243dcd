-- Records the outputs of tasks and completes the steps that this ends, under the locks of runs and tasks. The arrays run
-- parallel; an attempt that is NULL isn't compared. Reports that are late, repeated or for another attempt change nothing.
-- Returns the positions, from 1, of the reports that were recorded, and the runs that go on after a step completed, or NULL.
create or replace function pgflow._record_completions(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_outputs jsonb[],
  p_attempts int[],
  out recorded int[],
  out run_ids uuid[]
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_violations int[];
  v_step_slugs text[];
  v_flow_slugs text[];
  v_message_ids bigint[];
  v_ended record;
begin
  v_violations := pgflow._fail_type_violations(p_run_ids, p_step_slugs, p_task_indexes, p_outputs, p_attempts);

  with report as (
    -- With the attempts of the reports of the same task before it: the first that fits counts, a stale one hides none.
    select *, array_agg(attempt) over (
        partition by run_id, step_slug, task_index order by "position"
        rows between unbounded preceding and 1 preceding
      ) as earlier_attempts
    from unnest(p_run_ids, p_step_slugs, p_task_indexes, p_outputs, p_attempts) with ordinality
      as report (run_id, step_slug, task_index, output, attempt, "position")
    limit cardinality(p_run_ids)
  ), completed as (
    update pgflow.step_tasks t
    set status = 'completed',
        completed_at = greatest(pgflow._now(), t.started_at, t.queued_at),
        output = report.output
    from report
    cross join lateral (
      select task.ctid as row_id
      from pgflow.runs r, pgflow.step_states ss, pgflow.step_tasks task
      where r.run_id = report.run_id
        and r.status = 'started'
        and ss.run_id = report.run_id
        and ss.step_slug = report.step_slug
        and ss.status = 'started'
        and task.run_id = report.run_id
        and task.step_slug = report.step_slug
        and task.task_index = report.task_index
        and task.status = 'started'
        and task.attempts_count = coalesce(report.attempt, task.attempts_count)
        and (report.earlier_attempts is null or task.attempts_count <> all (report.earlier_attempts))
      offset 0
    ) as found
    where t.ctid = found.row_id
    returning report."position"::int, t.run_id, t.step_slug, t.flow_slug, t.message_id
  )
  select
    array_agg("position"), array_agg(run_id), array_agg(step_slug), array_agg(flow_slug), array_agg(message_id)
  into recorded, run_ids, v_step_slugs, v_flow_slugs, v_message_ids
  from completed;

  select ended.run_ids, ended.step_slugs into run_ids, v_step_slugs
  from pgflow._count_down_steps(run_ids, v_step_slugs) as ended;

  if v_message_ids is not null then
    perform pgflow._archive_messages(v_flow_slugs, v_message_ids);
  end if;
  if coalesce(cardinality(recorded), 0) < cardinality(p_run_ids) then
    perform pgflow._archive_reported(p_run_ids, p_step_slugs, p_task_indexes);
  end if;

  if run_ids is not null then
    perform pgflow._release_children(run_ids, v_step_slugs);
    select * into v_ended from pgflow._end_steps_of_runs(run_ids);
    perform pgflow._emit_events('step:completed', run_ids, v_step_slugs);
    if v_ended.completed is not null then
      perform pgflow._emit_events('run:completed', v_ended.completed);
      perform pgflow._notify_runs(v_ended.completed);
    end if;
    run_ids := v_ended.going_on;
  end if;

  recorded := v_violations || coalesce(recorded, '{}');
end
$$;
