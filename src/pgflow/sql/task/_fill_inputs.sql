-- Gives started tasks their inputs, and leaves them in their order. The array behind a map is taken apart once per step,
-- whatever the number of tasks.
create or replace function pgflow._fill_inputs(p_tasks pgflow.started_task[])
returns setof pgflow.started_task
language plpgsql stable
set search_path to pg_catalog, pg_temp
as $$
begin
  return query
    with task as (
      select t.*, s.step_type, s.deps_count
      from unnest(p_tasks) with ordinality as t (
        flow_slug, run_id, step_slug, task_index, input, flow_input,
        message_id, attempt, max_attempts, timeout, base_delay, attempts_before_retry, "position"
      )
      join pgflow.steps s on s.flow_slug = t.flow_slug and s.step_slug = t.step_slug
    ), element as (
      select mapped.run_id, mapped.step_slug, item.value, (item."position" - 1)::int as task_index
      from (select distinct flow_slug, run_id, step_slug, deps_count from task where step_type = 'map') as mapped
      cross join lateral (
        select r.input from pgflow.runs r where mapped.deps_count = 0 and r.run_id = mapped.run_id
        union all
        select ss.output
        from pgflow.deps d
        join pgflow.step_states ss on ss.run_id = mapped.run_id and ss.step_slug = d.dep_slug
        where mapped.deps_count > 0 and d.flow_slug = mapped.flow_slug and d.step_slug = mapped.step_slug
      ) as source (items)
      cross join lateral jsonb_array_elements(
        case when jsonb_typeof(source.items) = 'array' then source.items else '[]' end
      ) with ordinality as item (value, "position")
    )
    select
      task.flow_slug, task.run_id, task.step_slug, task.task_index,
      case
        when task.step_type = 'map' then element.value
        when task.deps_count = 0 then '{}'::jsonb
        else coalesce(dependency.outputs, '{}')
      end,
      case
        when task.step_type = 'single' and task.deps_count = 0
        then (select r.input from pgflow.runs r where r.run_id = task.run_id)
      end,
      task.message_id, task.attempt, task.max_attempts, task.timeout, task.base_delay, task.attempts_before_retry
    from task
    cross join lateral (
      -- As _dependency_outputs has it, without a call for each task.
      select jsonb_object_agg(d.dep_slug, coalesce(ss.output, 'null')) as outputs
      from pgflow.deps d
      join pgflow.step_states ss on ss.run_id = task.run_id and ss.step_slug = d.dep_slug and ss.status = 'completed'
      where task.step_type = 'single' and d.flow_slug = task.flow_slug and d.step_slug = task.step_slug
      offset 0
    ) as dependency
    left join element on element.run_id = task.run_id
      and element.step_slug = task.step_slug
      and element.task_index = task.task_index
    order by task."position";
end
$$;
