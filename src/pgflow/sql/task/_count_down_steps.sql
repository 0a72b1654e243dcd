-- Takes completed tasks, one per element, off their steps and completes the steps of which they were the last: with
-- the output of the one task, or of all tasks of a map in their order. Returns the steps completed, or NULLs.
create or replace function pgflow._count_down_steps(
  p_run_ids uuid[],
  p_step_slugs text[],
  out run_ids uuid[],
  out step_slugs text[]
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  with counted as (
    select run_id, step_slug, count(*)::int as task_count
    from unnest(p_run_ids, p_step_slugs) as task (run_id, step_slug)
    group by run_id, step_slug
    limit cardinality(p_run_ids)
  ), changed as (
    update pgflow.step_states ss
    set remaining_tasks = ss.remaining_tasks - counted.task_count,
        status = case when ss.remaining_tasks = counted.task_count then 'completed' else ss.status end,
        completed_at = case
          when ss.remaining_tasks = counted.task_count then greatest(pgflow._now(), ss.started_at)
        end,
        output = case
          when ss.remaining_tasks > counted.task_count then null
          when s.step_type = 'map' then pgflow._collect_outputs(ss.run_id, ss.step_slug)
          else (
            select t.output
            from pgflow.step_tasks t
            where t.run_id = ss.run_id and t.step_slug = ss.step_slug and t.task_index = 0
          )
        end
    from counted
    cross join lateral (
      select state.ctid as row_id, state.flow_slug
      from pgflow.step_states state
      where state.run_id = counted.run_id and state.step_slug = counted.step_slug
      offset 0
    ) as found
    join pgflow.steps s on s.flow_slug = found.flow_slug and s.step_slug = counted.step_slug
    where ss.ctid = found.row_id
    returning ss.run_id, ss.step_slug, ss.status
  )
  select array_agg(run_id order by run_id, step_slug), array_agg(step_slug order by run_id, step_slug)
  into run_ids, step_slugs
  from changed
  where status = 'completed';
end
$$;
