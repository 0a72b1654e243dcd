create or replace function pgflow._start_runs(p_flow_slug text, p_inputs jsonb[], p_run_ids uuid[])
returns setof pgflow.runs
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select started.*
  from unnest(p_inputs, p_run_ids) with ordinality as wanted (input, run_id, "position")
  cross join lateral pgflow.start_flow(p_flow_slug, wanted.input, wanted.run_id) as started
  order by wanted."position"
$$;
comment on function pgflow._start_runs(text, jsonb[], uuid[]) is 'Starts one run per input, all or none.';
