-- Moves runs forward as far as they go without a worker: the only place that does. Called once per batch, for runs in
-- which a step ended or that are new, by a caller who holds their locks.
-- p_delay holds back the tasks that this call creates, in seconds. p_wave_limit bounds the waves of taskless steps;
-- without it they end by themselves, at the latest with the last step. p_started_run_ids and p_started_step_slugs are steps
-- that were started already, whose tasks are made here. New tasks that meet p_demand are started at once and returned,
-- without their inputs; NULL if there are none.
create or replace function pgflow._advance_runs(
  p_run_ids uuid[],
  p_wave_limit int default null,
  p_delay int default 0,
  p_demand pgflow._demand default null,
  p_started_run_ids uuid[] default null,
  p_started_step_slugs text[] default null
)
returns pgflow.started_task[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_ids uuid[] := array(select distinct run_id from unnest(p_run_ids) as run_id);
  v_waves int := 0;
  v_started record;
  v_started_run_ids uuid[] := p_started_run_ids;
  v_started_step_slugs text[] := p_started_step_slugs;
  v_tasks pgflow.started_task[];
begin
  if v_run_ids <> '{}' then
    -- A step completed without tasks may make others ready, whose conditions come before anything else.
    loop
      perform pgflow._resolve_conditions(v_run_ids);
      exit when pgflow._complete_taskless_steps(v_run_ids) = 0;
      v_waves := v_waves + 1;
      perform pgflow._check_wave_limit(v_waves, p_wave_limit);
    end loop;

    select * into v_started from pgflow._start_ready_steps(v_run_ids);
    v_started_run_ids := v_started_run_ids || v_started.run_ids;
    v_started_step_slugs := v_started_step_slugs || v_started.step_slugs;
  end if;

  if v_started_run_ids is not null then
    v_tasks := pgflow._create_tasks(v_started_run_ids, v_started_step_slugs, p_delay, p_demand);
  end if;

  if v_run_ids <> '{}' then
    perform pgflow._complete_runs(v_run_ids);
    perform pgflow._notify_runs(v_run_ids);
  end if;
  return v_tasks;
end
$$;
