-- The first lock of every change: all changes of one run are made one after the other. The states of its steps are
-- only changed under this lock, so they need none of their own. Returns the runs among them that go on.
create or replace function pgflow._lock_runs(p_run_ids uuid[])
returns uuid[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_going_on uuid[];
begin
  select array_agg(locked.run_id) filter (where locked.status = 'started')
  into v_going_on
  from (select distinct run_id from unnest(p_run_ids) as run_id order by run_id) as wanted
  cross join lateral (
    select r.run_id, r.status from pgflow.runs r where r.run_id = wanted.run_id offset 0 for no key update
  ) as locked;
  return v_going_on;
end
$$;
