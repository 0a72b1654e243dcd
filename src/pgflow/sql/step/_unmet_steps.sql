-- The ready steps of runs that go on whose condition is unmet. The document tested is the run's input for a root step
-- and the outputs of the completed parents for any other.
create or replace function pgflow._unmet_steps(p_run_ids uuid[])
returns table (run_id uuid, step_slug text, step_index int, when_unmet text)
language plpgsql stable
set search_path to ''
as $$
begin
  return query
    select ss.run_id, ss.step_slug, s.step_index, s.when_unmet
    from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as advancing
    join pgflow.runs r on r.run_id = advancing.run_id
    join pgflow.step_states ss on ss.run_id = r.run_id
    join pgflow.steps s on s.flow_slug = ss.flow_slug and s.step_slug = ss.step_slug
    cross join lateral (
      select case
        when s.deps_count = 0 then r.input
        else pgflow._dependency_outputs(ss.run_id, ss.flow_slug, ss.step_slug)
      end
    ) as tested (document)
    where r.status = 'started'
      and ss.status = 'created'
      and ss.remaining_deps = 0
      and (s.required_input_pattern is not null or s.forbidden_input_pattern is not null)
      and not (
        coalesce(tested.document @> s.required_input_pattern, true)
        and not coalesce(tested.document @> s.forbidden_input_pattern, false)
      );
end
$$;
