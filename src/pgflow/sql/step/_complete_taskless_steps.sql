-- One wave: completes all ready steps that have no tasks. Returns their number.
create or replace function pgflow._complete_taskless_steps(p_run_ids uuid[])
returns int
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_ids uuid[];
  v_step_slugs text[];
begin
  with completed as (
    update pgflow.step_states ss
    set status = 'completed',
        started_at = greatest(pgflow._now(), ss.created_at),
        completed_at = greatest(pgflow._now(), ss.created_at),
        remaining_tasks = 0,
        output = case when s.step_type = 'map' then '[]'::jsonb end
    from (
      select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)
    ) as advancing
    cross join lateral (
      select from pgflow.runs r where r.run_id = advancing.run_id and r.status = 'started' offset 0
    ) as going_on
    cross join lateral (
      select state.ctid as row_id, state.flow_slug, state.step_slug
      from pgflow.step_states state
      where state.run_id = advancing.run_id
        and state.status = 'created'
        and state.remaining_deps = 0
        and state.initial_tasks = 0
      offset 0
    ) as ready
    join pgflow.steps s on s.flow_slug = ready.flow_slug and s.step_slug = ready.step_slug
    where ss.ctid = ready.row_id
    returning ss.run_id, ss.step_slug, s.step_index
  )
  select array_agg(run_id order by step_index, run_id), array_agg(step_slug order by step_index, run_id)
  into v_run_ids, v_step_slugs
  from completed;

  if v_run_ids is null then
    return 0;
  end if;

  perform pgflow._release_children(v_run_ids, v_step_slugs);
  perform pgflow._count_down_runs(v_run_ids);
  perform pgflow._emit_events('step:completed', v_run_ids, v_step_slugs);
  return cardinality(v_run_ids);
end
$$;
