-- The first lock of every change: all changes of one run are made one after the other. The states of its steps are
-- only changed under this lock, so they need none of their own. Returns those of the runs that go on, and those that
-- don't, or NULLs.
create or replace function pgflow._lock_runs(p_run_ids uuid[], out going_on uuid[], out ended uuid[])
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  -- The linter doesn't see what a subquery locks: @plpgsql_check_options: performance_warnings = off
  select
    array_agg(wanted.run_id) filter (where locked.status = 'started'),
    array_agg(wanted.run_id) filter (where locked.status <> 'started')
  into going_on, ended
  from (select distinct run_id from unnest(p_run_ids) as run_id order by run_id) as wanted
  cross join lateral (
    select r.status from pgflow.runs r where r.run_id = wanted.run_id offset 0 for no key update
  ) as locked;
end
$$;
