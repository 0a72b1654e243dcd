create or replace function pgflow.cascade_resolve_conditions(run_id uuid)
returns boolean
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._lock_runs(array[cascade_resolve_conditions.run_id]);
  perform pgflow._resolve_conditions(array[cascade_resolve_conditions.run_id]);
  perform pgflow._notify_runs(array[cascade_resolve_conditions.run_id]);

  return not exists (
    select from pgflow.runs r
    where r.run_id = cascade_resolve_conditions.run_id and r.status = 'failed'
  );
end
$$;
comment on function pgflow.cascade_resolve_conditions(uuid) is 'Skips or fails the ready steps of a run whose condition is unmet; false if the run has failed, before or by this call.';
