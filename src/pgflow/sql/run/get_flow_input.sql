create or replace function pgflow.get_flow_input(p_run_id uuid)
returns jsonb
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select r.input from pgflow.runs r where r.run_id = p_run_id;
$$;
comment on function pgflow.get_flow_input(uuid) is 'The input of a run; NULL for an unknown run.';
