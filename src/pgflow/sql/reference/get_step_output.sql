create or replace function pgflow.get_step_output(p_run_id uuid, p_step_slug text)
returns jsonb
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select case when s.step_type = 'map'
    then (
      select coalesce(jsonb_agg(t.output order by t.task_index), '[]')
      from pgflow.step_tasks t
      where t.run_id = ss.run_id and t.step_slug = ss.step_slug and t.status = 'completed'
    )
    else (
      select t.output
      from pgflow.step_tasks t
      where t.run_id = ss.run_id and t.step_slug = ss.step_slug and t.status = 'completed'
    )
  end
  from pgflow.step_states ss
  join pgflow.steps s on s.flow_slug = ss.flow_slug and s.step_slug = ss.step_slug
  where ss.run_id = p_run_id and ss.step_slug = p_step_slug and ss.status = 'completed'
$$;
comment on function pgflow.get_step_output(uuid, text) is 'The output of a completed step of a run; NULL as long as there is none.';
