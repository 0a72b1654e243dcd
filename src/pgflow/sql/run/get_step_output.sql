create or replace function pgflow.get_step_output(p_run_id uuid, p_step_slug text)
returns jsonb
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select ss.output from pgflow.step_states ss where ss.run_id = p_run_id and ss.step_slug = p_step_slug;
$$;
comment on function pgflow.get_step_output(uuid, text) is 'The output of a completed step of a run; NULL as long as there is none.';
