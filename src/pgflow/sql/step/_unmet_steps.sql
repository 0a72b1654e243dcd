-- The ready steps of runs that go on whose condition is unmet. The document tested is the run's input for a root step
-- and the outputs of the completed parents for any other.
create or replace function pgflow._unmet_steps(p_run_ids uuid[])
returns table (run_id uuid, step_slug text, step_index int, when_unmet text)
language plpgsql stable
set search_path to pg_catalog, pg_temp
as $$
begin
  return query
    select ready.run_id, ready.step_slug, s.step_index, s.when_unmet
    from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as advancing
    cross join lateral (
      select r.input from pgflow.runs r where r.run_id = advancing.run_id and r.status = 'started' offset 0
    ) as going_on
    cross join lateral (
      select state.run_id, state.flow_slug, state.step_slug, going_on.input
      from pgflow.step_states state
      where state.run_id = advancing.run_id
        and state.status = 'created'
        and state.remaining_deps = 0
      offset 0
    ) as ready
    join pgflow.steps s on s.flow_slug = ready.flow_slug and s.step_slug = ready.step_slug
    cross join lateral (
      select case
        when s.deps_count = 0 then ready.input
        else pgflow._dependency_outputs(ready.run_id, ready.flow_slug, ready.step_slug)
      end
    ) as tested (document)
    where (s.required_input_pattern is not null or s.forbidden_input_pattern is not null)
      and not (
        coalesce(tested.document @> s.required_input_pattern, true)
        and not coalesce(tested.document @> s.forbidden_input_pattern, false)
      );
end
$$;
