-- Moves runs forward as far as they go without a worker: the only place that does. Called once per batch, for runs in
-- which a step ended or that are new, by a caller who holds their locks.
-- p_delay holds back the tasks that this call creates, in seconds. p_wave_limit bounds the waves of taskless steps;
-- without it they end by themselves, at the latest with the last step. New tasks that meet p_demand are started at once
-- and returned, without their inputs; NULL if there are none.
create or replace function pgflow._advance_runs(
  p_run_ids uuid[],
  p_wave_limit int default null,
  p_delay int default 0,
  p_demand pgflow._demand default null
)
returns pgflow.started_task[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_ids uuid[] := array(select distinct run_id from unnest(p_run_ids) as run_id);
  v_waves int := 0;
  v_tasks pgflow.started_task[];
begin
  -- A step completed without tasks may make others ready, whose conditions come before anything else.
  loop
    perform pgflow._resolve_conditions(v_run_ids);
    exit when pgflow._complete_taskless_steps(v_run_ids) = 0;
    v_waves := v_waves + 1;
    perform pgflow._check_wave_limit(v_waves, p_wave_limit);
  end loop;

  v_tasks := pgflow._start_ready_steps(v_run_ids, p_delay, p_demand);
  perform pgflow._complete_runs(v_run_ids);
  perform pgflow._notify_runs(v_run_ids);
  return v_tasks;
end
$$;
