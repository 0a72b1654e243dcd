-- The output of a step whose tasks have all completed.
create or replace function pgflow._collect_output(p_step pgflow.steps, p_run_id uuid)
returns jsonb
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select case p_step.step_type
    when 'map' then (
      select jsonb_agg(coalesce(t.output, 'null') order by t.task_index)
      from pgflow.step_tasks t
      where t.run_id = p_run_id and t.step_slug = p_step.step_slug
    )
    else (
      select t.output
      from pgflow.step_tasks t
      where t.run_id = p_run_id and t.step_slug = p_step.step_slug and t.task_index = 0
    )
  end;
$$;
