-- The output of a map whose tasks have all completed: theirs, in their order.
create or replace function pgflow._collect_outputs(p_run_id uuid, p_step_slug text)
returns jsonb
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select jsonb_agg(coalesce(t.output, 'null') order by t.task_index)
  from pgflow.step_tasks t
  where t.run_id = p_run_id and t.step_slug = p_step_slug;
$$;
