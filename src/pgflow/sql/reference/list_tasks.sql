create or replace function pgflow.list_tasks(p_run_id uuid, p_step_slug text default null)
returns setof jsonb
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object('requeued_count', 0) || to_jsonb(t)
  from pgflow.step_tasks t
  join pgflow.steps s on s.flow_slug = t.flow_slug and s.step_slug = t.step_slug
  where t.run_id = p_run_id and (p_step_slug is null or t.step_slug = p_step_slug)
  order by s.step_index, t.task_index
$$;
comment on function pgflow.list_tasks(uuid, text) is 'The tasks of a run, or of one of its steps, by step and index.';
