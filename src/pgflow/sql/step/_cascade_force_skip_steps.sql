create or replace function pgflow._cascade_force_skip_steps(run_id uuid, step_slug text, skip_reason text)
returns int
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._lock_runs(array[_cascade_force_skip_steps.run_id]);

  if not exists (select from pgflow.runs r where r.run_id = _cascade_force_skip_steps.run_id) then
    raise exception 'Run not found: %', _cascade_force_skip_steps.run_id;
  end if;

  perform pgflow._notify_runs(array[_cascade_force_skip_steps.run_id]);
  return pgflow._force_skip_steps(
    array[_cascade_force_skip_steps.run_id],
    array[_cascade_force_skip_steps.step_slug],
    _cascade_force_skip_steps.skip_reason
  );
end
$$;
comment on function pgflow._cascade_force_skip_steps(uuid, text, text) is 'Skips a step with the given reason, and everything behind it; returns how many steps that were.';
