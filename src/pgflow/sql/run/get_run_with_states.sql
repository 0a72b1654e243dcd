-- Volatile, so that it sees a run that the same statement has started; planned once for a session.
create or replace function pgflow.get_run_with_states(run_id uuid)
returns jsonb
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
begin
  -- Volatile on purpose, see above: @plpgsql_check_options: performance_warnings = off
  return (
    select jsonb_build_object(
      'run', case when r.status = 'failed' then pgflow.describe_run(r) else to_jsonb(r) end,
      'steps', (
        select coalesce(jsonb_agg(to_jsonb(ss) order by s.step_index), '[]')
        from pgflow.step_states ss
        cross join lateral (
          select defined.step_index
          from pgflow.steps defined
          where defined.flow_slug = ss.flow_slug and defined.step_slug = ss.step_slug
          offset 0
        ) as s
        where ss.run_id = r.run_id
      )
    )
    from pgflow.runs r
    where r.run_id = get_run_with_states.run_id
  );
end
$$;
comment on function pgflow.get_run_with_states(uuid) is 'A run, as describe_run has it, and the states of its steps, in the order of definition; NULL for an unknown run.';
