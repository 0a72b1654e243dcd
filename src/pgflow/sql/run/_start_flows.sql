-- Starts one run of a flow per input; p_run_ids has an id for each. Their first tasks are held back for p_delay seconds.
-- Rows that can't be violate a constraint.
create or replace function pgflow._start_flows(p_flow_slug text, p_inputs jsonb[], p_run_ids uuid[], p_delay int default 0)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
as $$
begin
  perform pgflow._check_root_map_inputs(p_flow_slug, p_inputs);

  insert into pgflow.runs (run_id, flow_slug, input, remaining_steps)
  select new.run_id, p_flow_slug, new.input, defined.step_count
  from unnest(p_run_ids, p_inputs) as new (run_id, input)
  cross join (select count(*) as step_count from pgflow.steps s where s.flow_slug = p_flow_slug) as defined;

  insert into pgflow.step_states (flow_slug, run_id, step_slug, remaining_deps, initial_tasks)
  select p_flow_slug, new.run_id, s.step_slug, s.deps_count,
    case
      when s.step_type = 'single' then 1
      when s.deps_count = 0 then jsonb_array_length(new.input)
    end
  from unnest(p_run_ids, p_inputs) as new (run_id, input)
  cross join pgflow.steps s
  where s.flow_slug = p_flow_slug;

  perform pgflow._emit_events('run:started', p_run_ids);
  perform pgflow._advance_runs(p_run_ids, p_wave_limit => 50, p_delay => p_delay);
end
$$;
