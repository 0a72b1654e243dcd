-- Takes p_steps steps off the run for each element of p_run_ids, and completes the runs that have none left: in one
-- update, since most runs are changed for the last time here. Their output is that of the completed leaves.
-- Returns the runs that go on, those that have completed, and these as workers are told about them, or NULLs.
create or replace function pgflow._end_steps_of_runs(
  p_run_ids uuid[],
  p_steps int default 1,
  out going_on uuid[],
  out completed uuid[],
  out ended_runs pgflow.ended_run[]
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  with changed as (
    update pgflow.runs r
    set remaining_steps = r.remaining_steps - ended.step_count,
        status = case when r.remaining_steps = ended.step_count then 'completed' else r.status end,
        completed_at = case when r.remaining_steps = ended.step_count then greatest(pgflow._now(), r.started_at) end,
        output = case when r.remaining_steps = ended.step_count then (
          select jsonb_object_agg(ss.step_slug, coalesce(ss.output, 'null'))
          from pgflow.step_states ss
          where ss.run_id = r.run_id
            and ss.status = 'completed'
            and not exists (select from pgflow.deps d where d.flow_slug = ss.flow_slug and d.dep_slug = ss.step_slug)
        ) end
    from (
      select run_id, count(*) * p_steps as step_count
      from unnest(p_run_ids) as run_id
      group by run_id
      limit cardinality(p_run_ids)
    ) as ended
    cross join lateral (
      select run.ctid as row_id
      from pgflow.runs run
      where run.run_id = ended.run_id
        and run.status = 'started'
        and (ended.step_count > 0 or run.remaining_steps = 0)
      offset 0
    ) as found
    where r.ctid = found.row_id
    returning r.run_id, r.flow_slug, r.status, r.started_at, r.completed_at
  )
  select
    array_agg(run_id) filter (where status = 'started'),
    array_agg(run_id order by run_id) filter (where status = 'completed'),
    array_agg(
      row(run_id, flow_slug, status, extract(epoch from completed_at - started_at), null)::pgflow.ended_run order by run_id
    ) filter (where status = 'completed')
  into going_on, completed, ended_runs
  from changed;
end
$$;
