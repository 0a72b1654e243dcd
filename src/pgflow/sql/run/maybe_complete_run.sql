create or replace function pgflow.maybe_complete_run(run_id uuid)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._lock_runs(array[maybe_complete_run.run_id]);
  perform pgflow._complete_runs(array[maybe_complete_run.run_id]);
  perform pgflow._notify_runs(array[maybe_complete_run.run_id]);
end
$$;
comment on function pgflow.maybe_complete_run(uuid) is 'Completes a run that has no remaining steps; otherwise does nothing.';
