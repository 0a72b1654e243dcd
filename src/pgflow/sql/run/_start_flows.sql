-- Starts one run of a flow per input; p_run_ids has an id for each. Their first tasks are held back for p_delay seconds.
-- Rows that can't be violate a constraint.
create or replace function pgflow._start_flows(p_flow_slug text, p_inputs jsonb[], p_run_ids uuid[], p_delay int default 0)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_defined record;
  v_starts_at_once boolean;
  v_run_ids uuid[];
  v_step_slugs text[];
begin
  select
    count(*) as step_count,
    coalesce(bool_or(s.step_type = 'map') filter (where s.deps_count = 0), false) as has_root_maps,
    coalesce(
      bool_and(s.required_input_pattern is null and s.forbidden_input_pattern is null) filter (where s.deps_count = 0),
      false
    ) as has_no_root_conditions
  into v_defined
  from pgflow.steps s
  where s.flow_slug = p_flow_slug;

  if v_defined.has_root_maps then
    perform pgflow._check_root_map_inputs(p_flow_slug, p_inputs);
  end if;
  -- Nearly always: no condition to be resolved and no empty map to be completed before the root steps start, which then
  -- are inserted as started.
  v_starts_at_once := v_defined.has_no_root_conditions and not (v_defined.has_root_maps and '[]' = any (p_inputs));

  insert into pgflow.runs (run_id, flow_slug, input, remaining_steps)
  select new.run_id, p_flow_slug, new.input, v_defined.step_count
  from unnest(p_run_ids, p_inputs) as new (run_id, input);

  with created as (
    insert into pgflow.step_states (
      flow_slug, run_id, step_slug, remaining_deps, initial_tasks, status, remaining_tasks, started_at)
    select p_flow_slug, new.run_id, s.step_slug, s.deps_count, counted.tasks,
      case when starting.now then 'started' else 'created' end,
      case when starting.now then counted.tasks end,
      case when starting.now then pgflow._now() end
    from unnest(p_run_ids, p_inputs) as new (run_id, input)
    cross join pgflow.steps s
    cross join lateral (
      select case
        when s.step_type = 'single' then 1
        when s.deps_count = 0 then jsonb_array_length(new.input)
      end
    ) as counted (tasks)
    cross join lateral (select s.deps_count = 0 and v_starts_at_once) as starting (now)
    where s.flow_slug = p_flow_slug
    returning run_id, step_slug, status
  )
  select array_agg(run_id order by step_slug, run_id), array_agg(step_slug order by step_slug, run_id)
  into v_run_ids, v_step_slugs
  from created
  where status = 'started';

  perform pgflow._emit_events('run:started', p_run_ids);
  if v_starts_at_once then
    perform pgflow._create_tasks(v_run_ids, v_step_slugs, p_delay);
    perform pgflow._notify_runs(p_run_ids);
  else
    perform pgflow._advance_runs(p_run_ids, p_wave_limit => 50, p_delay => p_delay);
  end if;
end
$$;
