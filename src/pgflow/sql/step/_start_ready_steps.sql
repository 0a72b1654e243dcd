-- Starts every ready step that has tasks, and returns them, in the order in which their tasks are made; NULLs if there
-- are none.
create or replace function pgflow._start_ready_steps(p_run_ids uuid[], out run_ids uuid[], out step_slugs text[])
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  with started as (
    update pgflow.step_states ss
    set status = 'started',
        started_at = greatest(pgflow._now(), ss.created_at),
        remaining_tasks = ss.initial_tasks
    from (
      select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)
    ) as advancing
    cross join lateral (
      select from pgflow.runs r where r.run_id = advancing.run_id and r.status = 'started' offset 0
    ) as going_on
    cross join lateral (
      select state.ctid as row_id
      from pgflow.step_states state
      where state.run_id = advancing.run_id
        and state.status = 'created'
        and state.remaining_deps = 0
        and state.initial_tasks > 0
      offset 0
    ) as ready
    where ss.ctid = ready.row_id
    returning ss.run_id, ss.step_slug
  )
  select array_agg(run_id order by step_slug, run_id), array_agg(step_slug order by step_slug, run_id)
  into run_ids, step_slugs
  from started;
end
$$;
