-- The first lock of every change: all changes of one run are made one after the other. The states of its steps are
-- only changed under this lock, so they need none of their own.
create or replace function pgflow._lock_runs(p_run_ids uuid[])
returns void
language plpgsql
set search_path to ''
as $$
begin
  perform from pgflow.runs r where r.run_id = any (p_run_ids) order by r.run_id for no key update;
end
$$;
