-- Completes the runs that have nothing left to do.
create or replace function pgflow._complete_runs(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_completed uuid[];
begin
  select ended.completed into v_completed from pgflow._end_steps_of_runs(p_run_ids, 0) as ended;
  if v_completed is not null then
    perform pgflow._emit_events('run:completed', v_completed);
  end if;
end
$$;
