-- Gives started tasks their inputs, and leaves them in their order. The array behind a map is read once per step, whatever
-- the number of tasks.
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
    ), filled as (
      select
        task.flow_slug, task.run_id, task.step_slug, task.task_index,
        case when task.deps_count = 0 then '{}'::jsonb else coalesce(dependency.outputs, '{}') end as input,
        case
          when task.deps_count = 0
          then coalesce(task.flow_input, (select r.input from pgflow.runs r where r.run_id = task.run_id))
        end as flow_input,
        task.message_id, task.attempt, task.max_attempts, task.timeout, task.base_delay, task.attempts_before_retry,
        task."position"
      from task
      cross join lateral (
        -- As _dependency_outputs has it, without a call for each task.
        select jsonb_object_agg(d.dep_slug, coalesce(ss.output, 'null')) as outputs
        from pgflow.deps d
        join pgflow.step_states ss on ss.run_id = task.run_id and ss.step_slug = d.dep_slug and ss.status = 'completed'
        where d.flow_slug = task.flow_slug and d.step_slug = task.step_slug
        offset 0
      ) as dependency
      where task.step_type = 'single'
      union all
      select
        mapped.flow_slug, mapped.run_id, mapped.step_slug, t.task_index,
        source.items -> t.task_index, null,
        t.message_id, t.attempt, t.max_attempts, t.timeout, t.base_delay, t.attempts_before_retry,
        t."position"
      from (
        select flow_slug, run_id, step_slug, deps_count,
          array_agg(p_tasks["position"]) as tasks, array_agg("position") as positions
        from task
        where step_type = 'map'
        group by flow_slug, run_id, step_slug, deps_count
      ) as mapped
      cross join lateral (
        -- Joined with nothing, so that it is taken out of its compressed storage here rather than for each element.
        select case when jsonb_typeof(stored.items) = 'array' then stored.items || '[]' end as items
        from (
          select r.input from pgflow.runs r where mapped.deps_count = 0 and r.run_id = mapped.run_id
          union all
          select ss.output
          from pgflow.deps d
          join pgflow.step_states ss on ss.run_id = mapped.run_id and ss.step_slug = d.dep_slug
          where mapped.deps_count > 0 and d.flow_slug = mapped.flow_slug and d.step_slug = mapped.step_slug
        ) as stored (items)
        offset 0
      ) as source
      cross join lateral unnest(mapped.tasks, mapped.positions) as t (
        flow_slug, run_id, step_slug, task_index, input, flow_input,
        message_id, attempt, max_attempts, timeout, base_delay, attempts_before_retry, "position"
      )
    )
    select
      filled.flow_slug, filled.run_id, filled.step_slug, filled.task_index, filled.input, filled.flow_input,
      filled.message_id, filled.attempt, filled.max_attempts, filled.timeout, filled.base_delay,
      filled.attempts_before_retry
    from filled
    order by filled."position";
end
$$;
