-- What a step gets from its parents: one key per completed parent. A skipped parent has no key.
create or replace function pgflow._dependency_outputs(p_run_id uuid, p_flow_slug text, p_step_slug text)
returns jsonb
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select coalesce(jsonb_object_agg(d.dep_slug, coalesce(ss.output, 'null')), '{}')
  from pgflow.deps d
  join pgflow.step_states ss on ss.run_id = p_run_id and ss.step_slug = d.dep_slug and ss.status = 'completed'
  where d.flow_slug = p_flow_slug and d.step_slug = p_step_slug;
$$;
