create or replace function pgflow.cascade_complete_taskless_steps(run_id uuid)
returns int
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_waves int := 0;
  v_completed int := 0;
  v_wave_size int;
begin
  perform pgflow._lock_runs(array[cascade_complete_taskless_steps.run_id]);

  loop
    v_wave_size := pgflow._complete_taskless_steps(array[cascade_complete_taskless_steps.run_id]);
    exit when v_wave_size = 0;
    v_completed := v_completed + v_wave_size;
    v_waves := v_waves + 1;
    perform pgflow._check_wave_limit(v_waves, 50);
  end loop;

  perform pgflow._notify_runs(array[cascade_complete_taskless_steps.run_id]);
  return v_completed;
end
$$;
comment on function pgflow.cascade_complete_taskless_steps(uuid) is 'Completes the ready steps of a run that have no tasks, wave after wave; returns their number. More than 50 waves are an error.';
