create or replace function pgflow.start_ready_steps(run_id uuid)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_started record;
begin
  perform pgflow._lock_runs(array[start_ready_steps.run_id]);
  select * into v_started from pgflow._start_ready_steps(array[start_ready_steps.run_id]);
  perform pgflow._create_tasks(v_started.run_ids, v_started.step_slugs);
  perform pgflow._notify_runs(array[start_ready_steps.run_id]);
end
$$;
comment on function pgflow.start_ready_steps(uuid) is 'Starts every step of a run that is ready and has tasks, without looking at conditions.';
