-- Fails the runs in which a reported output isn't the array that a map behind it needs: a programming error, whatever
-- attempts are left. One violation is recorded per run; other reports of that run then find it failed.
-- Returns the positions, from 1, of the reports that were recorded.
create or replace function pgflow._fail_type_violations(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_outputs jsonb[],
  p_attempts int[]
)
returns int[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_positions int[];
  v_run_ids uuid[];
  v_step_slugs text[];
  v_errors text[];
  v_flow_slugs text[];
  v_message_ids bigint[];
begin
  with violation as (
    select distinct on (report.run_id)
      report.*, child.step_slug as child_slug, coalesce(jsonb_typeof(report.output), 'null') as output_type
    from (
      select *
      from unnest(p_run_ids, p_step_slugs, p_task_indexes, p_outputs, p_attempts) with ordinality
        as report (run_id, step_slug, task_index, output, attempt, "position")
      where jsonb_typeof(output) is distinct from 'array'
      limit cardinality(p_run_ids)
    ) as report
    join pgflow.runs r on r.run_id = report.run_id and r.status = 'started'
    join pgflow.step_states ss
      on ss.run_id = report.run_id and ss.step_slug = report.step_slug and ss.status = 'started'
    join pgflow.steps s on s.flow_slug = r.flow_slug and s.step_slug = report.step_slug and s.step_type = 'single'
    join pgflow.deps d on d.flow_slug = r.flow_slug and d.dep_slug = report.step_slug
    join pgflow.steps child
      on child.flow_slug = r.flow_slug and child.step_slug = d.step_slug and child.step_type = 'map'
    join pgflow.step_states waiting
      on waiting.run_id = report.run_id and waiting.step_slug = child.step_slug and waiting.initial_tasks is null
    join pgflow.step_tasks t
      on t.run_id = report.run_id and t.step_slug = report.step_slug and t.task_index = report.task_index
      and t.status = 'started' and t.attempts_count = coalesce(report.attempt, t.attempts_count)
    where not exists (
      select
      from unnest(p_run_ids, p_step_slugs, p_task_indexes, p_attempts) with ordinality
        as earlier (run_id, step_slug, task_index, attempt, "position")
      where earlier.run_id = report.run_id
        and earlier.step_slug = report.step_slug
        and earlier.task_index = report.task_index
        and earlier."position" < report."position"
        and t.attempts_count = coalesce(earlier.attempt, t.attempts_count)
    )
    order by report.run_id, report."position", child.step_index
  ), failed as (
    update pgflow.step_tasks t
    set status = 'failed',
        failed_at = greatest(pgflow._now(), t.started_at, t.queued_at),
        output = violation.output,
        error_message = format('[TYPE_VIOLATION] Produced %s instead of array', violation.output_type)
    from violation
    where t.run_id = violation.run_id
      and t.step_slug = violation.step_slug
      and t.task_index = violation.task_index
      and t.status = 'started'
    returning violation."position"::int, t.run_id, t.step_slug, t.flow_slug, t.message_id, format(
      '[TYPE_VIOLATION] Map step %s expects array input but dependency %s produced %s',
      violation.child_slug, violation.step_slug, violation.output_type) as step_error
  )
  select
    array_agg("position"), array_agg(run_id order by run_id), array_agg(step_slug order by run_id),
    array_agg(step_error order by run_id), array_agg(flow_slug), array_agg(message_id)
  into v_positions, v_run_ids, v_step_slugs, v_errors, v_flow_slugs, v_message_ids
  from failed;

  if v_positions is null then
    return '{}'::int[];
  end if;

  perform pgflow._fail_runs(v_run_ids, v_step_slugs, v_errors);
  perform pgflow._archive_messages(v_flow_slugs, v_message_ids);
  return v_positions;
end
$$;
