-- Starts every ready step that has tasks, and creates those; p_delay seconds are added to the start delay of each step.
-- Returns the tasks that were started because they meet p_demand, without their inputs.
create or replace function pgflow._start_ready_steps(
  p_run_ids uuid[],
  p_delay int default 0,
  p_demand pgflow._demand default null
)
returns pgflow.started_task[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_ids uuid[];
  v_step_slugs text[];
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
  into v_run_ids, v_step_slugs
  from started;

  if v_run_ids is null then
    return null;
  end if;

  perform pgflow._emit_events('step:started', v_run_ids, v_step_slugs);
  return pgflow._create_tasks(v_run_ids, v_step_slugs, p_delay, p_demand);
end
$$;
