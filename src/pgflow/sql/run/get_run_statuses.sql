create or replace function pgflow.get_run_statuses(p_run_ids uuid[])
returns table (run_id uuid, status text)
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select r.run_id, r.status
  from pgflow.runs r
  where r.run_id = any (p_run_ids);
$$;
comment on function pgflow.get_run_statuses(uuid[]) is 'The statuses of runs, in any order; an unknown run has no row. For who waits for many.';
