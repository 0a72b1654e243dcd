create or replace function pgflow.get_run(p_run_id uuid)
returns setof pgflow.runs
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select r.* from pgflow.runs r where r.run_id = p_run_id;
$$;
comment on function pgflow.get_run(uuid) is 'A run; no row for an unknown one.';
