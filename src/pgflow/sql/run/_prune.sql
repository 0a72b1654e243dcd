-- Deletes what ended before p_cutoff, of some flows (NULL: all): at most p_limit workers, runs with all that belongs to
-- them, and archived messages per flow (NULL: without limit). Runs that go on are kept at any age, and with p_spares_alive
-- workers that are alive.
create or replace function pgflow._prune(
  p_cutoff timestamptz,
  p_flow_slugs text[],
  p_limit int,
  p_spares_alive boolean,
  out deleted_runs int,
  out deleted_step_states int,
  out deleted_step_tasks int,
  out deleted_workers int,
  out deleted_messages int
)
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_run_ids uuid[];
begin
  -- One at a time: two would want each other's rows.
  perform pg_advisory_xact_lock(2, 0);

  v_run_ids := array(
    select r.run_id
    from pgflow.runs r
    where (r.completed_at < p_cutoff or r.failed_at < p_cutoff)
      and (p_flow_slugs is null or r.flow_slug = any (p_flow_slugs))
    order by r.run_id
    limit p_limit
    for update
  );

  deleted_messages := pgflow._delete_messages(v_run_ids) + pgflow._delete_archived(p_cutoff, p_flow_slugs, p_limit);

  delete from pgflow.step_tasks t where t.run_id = any (v_run_ids);
  get diagnostics deleted_step_tasks = row_count;
  delete from pgflow.step_states ss where ss.run_id = any (v_run_ids);
  get diagnostics deleted_step_states = row_count;
  delete from pgflow.runs r where r.run_id = any (v_run_ids);
  get diagnostics deleted_runs = row_count;

  -- Last, when most of their tasks are gone.
  deleted_workers := pgflow._delete_workers(p_cutoff, p_flow_slugs, p_limit, p_spares_alive);
end
$$;
