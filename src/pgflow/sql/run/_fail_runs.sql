-- Fails runs, each by one of its steps: the i-th step of p_step_slugs fails with the i-th error and the i-th run with it.
create or replace function pgflow._fail_runs(p_run_ids uuid[], p_step_slugs text[], p_error_messages text[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  update pgflow.step_states ss
  set status = 'failed',
      failed_at = greatest(pgflow._now(), ss.started_at),
      error_message = failing.error_message
  from (
    select *
    from unnest(p_run_ids, p_step_slugs, p_error_messages) as failing (run_id, step_slug, error_message)
    limit cardinality(p_run_ids)
  ) as failing
  where ss.run_id = failing.run_id and ss.step_slug = failing.step_slug;

  perform pgflow._emit_events('step:failed', p_run_ids, p_step_slugs);
  perform pgflow._end_failed_runs(p_run_ids);
end
$$;
