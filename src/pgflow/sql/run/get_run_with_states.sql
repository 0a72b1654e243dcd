-- Volatile, so that it sees a run that the same statement has started.
create or replace function pgflow.get_run_with_states(run_id uuid)
returns jsonb
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'run', case when r.status = 'failed' then pgflow.describe_run(r) else to_jsonb(r) end,
    'steps', (
      select coalesce(jsonb_agg(to_jsonb(ss) order by s.step_index), '[]')
      from pgflow.step_states ss
      join pgflow.steps s on s.flow_slug = ss.flow_slug and s.step_slug = ss.step_slug
      where ss.run_id = r.run_id
    )
  )
  from pgflow.runs r
  where r.run_id = get_run_with_states.run_id;
$$;
comment on function pgflow.get_run_with_states(uuid) is 'A run, as describe_run has it, and the states of its steps, in the order of definition; NULL for an unknown run.';
