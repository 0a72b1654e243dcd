-- Completes tasks, under the locks of runs and tasks, and the steps of which they were the last: with the output of the
-- one task, or of all tasks of a map in their order. The arrays run parallel; p_row_ids says where each task is, NULL where
-- it can't be completed. Of the reports of one task the first counts that names its attempt.
-- Returns the positions, from 1, of the reports that counted with the flows and messages of their tasks, and the steps that
-- completed; NULLs for none.
create or replace function pgflow._complete_tasks_and_steps(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_outputs jsonb[],
  p_attempts int[],
  p_row_ids tid[],
  p_has_maps boolean,
  out recorded int[],
  out flow_slugs text[],
  out message_ids bigint[],
  out run_ids uuid[],
  out step_slugs text[]
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_map_row_ids tid[];
begin
  with report as (
    select *
    from unnest(p_run_ids, p_step_slugs, p_outputs, p_attempts, p_row_ids) with ordinality
      as report (run_id, step_slug, output, attempt, row_id, "position")
    limit cardinality(p_run_ids)
  ), completed as (
    -- Row by row in the order of the reports, and no row twice.
    update pgflow.step_tasks t
    set status = 'completed',
        completed_at = greatest(pgflow._now(), t.started_at, t.queued_at),
        output = report.output
    from report
    cross join lateral (
      select state.ctid as row_id
      from pgflow.step_states state
      where state.run_id = report.run_id and state.step_slug = report.step_slug and state.status = 'started'
      offset 0
    ) as state
    where t.ctid = report.row_id
      and t.status = 'started'
      and t.attempts_count = coalesce(report.attempt, t.attempts_count)
    returning report."position"::int, t.flow_slug, t.message_id, t.task_index, report.output, state.row_id as state_row_id
  ), counted as (
    select state_row_id, count(*)::int as task_count, (array_agg(output) filter (where task_index = 0))[1] as output
    from completed
    group by state_row_id
    limit cardinality(p_run_ids)
  ), changed as (
    -- The tasks of a map give their outputs together, once all of them have one.
    update pgflow.step_states ss
    set remaining_tasks = ss.remaining_tasks - counted.task_count,
        status = case when ends.now then 'completed' else ss.status end,
        completed_at = case when ends.now then greatest(pgflow._now(), ss.started_at) end,
        output = case when ends.now then counted.output end
    from counted
    cross join lateral (
      select state.remaining_tasks = counted.task_count and not (p_has_maps and exists (
        select from pgflow.steps s
        where s.flow_slug = state.flow_slug and s.step_slug = state.step_slug and s.step_type = 'map'
      )) as now
      from pgflow.step_states state
      where state.ctid = counted.state_row_id
      offset 0
    ) as ends
    where ss.ctid = counted.state_row_id
    returning ss.ctid as row_id, ss.run_id, ss.step_slug, ss.status, ss.remaining_tasks
  )
  select task.*, step.*
  into recorded, flow_slugs, message_ids, run_ids, step_slugs, v_map_row_ids
  from (
    select array_agg("position"), array_agg(flow_slug), array_agg(message_id) from completed
  ) as task
  cross join (
    select
      array_agg(run_id order by run_id, step_slug) filter (where status = 'completed'),
      array_agg(step_slug order by run_id, step_slug) filter (where status = 'completed'),
      array_agg(row_id) filter (where status = 'started' and remaining_tasks = 0)
    from changed
  ) as step;

  if v_map_row_ids is not null then
    with ended as (
      update pgflow.step_states ss
      set status = 'completed',
          completed_at = greatest(pgflow._now(), ss.started_at),
          output = pgflow._collect_outputs(ss.run_id, ss.step_slug)
      where ss.ctid = any (v_map_row_ids)
      returning ss.run_id, ss.step_slug
    )
    select
      array_agg(step.run_id order by step.run_id, step.step_slug),
      array_agg(step.step_slug order by step.run_id, step.step_slug)
    into run_ids, step_slugs
    from (
      select * from ended
      union all
      select * from unnest(run_ids, step_slugs)
    ) as step (run_id, step_slug);
  end if;
end
$$;
