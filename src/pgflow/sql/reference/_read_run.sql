-- Cores before 0.13 keep outputs with the tasks only.
create or replace function pgflow._read_run(p_run_id uuid)
returns jsonb
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'run', to_jsonb(r),
    'steps', (
      select coalesce(
        jsonb_agg(
          jsonb_build_object('output', case when ss.status = 'completed' then (
            select case when s.step_type = 'map'
              then coalesce(jsonb_agg(t.output order by t.task_index), '[]')
              else min(t.output::text)::jsonb
            end
            from pgflow.step_tasks t
            where t.run_id = ss.run_id and t.step_slug = ss.step_slug and t.status = 'completed'
          ) end) || to_jsonb(ss)
          order by s.step_index
        ),
        '[]'
      )
      from pgflow.step_states ss
      join pgflow.steps s on s.flow_slug = ss.flow_slug and s.step_slug = ss.step_slug
      where ss.run_id = r.run_id
    )
  )
  from pgflow.runs r
  where r.run_id = p_run_id
$$;
comment on function pgflow._read_run(uuid) is 'A run and the states of its steps with their outputs, in the order of definition; NULL for an unknown run.';
