-- Completes the runs that have nothing left to do. Their output is that of the completed leaves.
create or replace function pgflow._complete_runs(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_completed uuid[];
begin
  with completed as (
    update pgflow.runs r
    set status = 'completed',
        completed_at = greatest(pgflow._now(), r.started_at),
        output = (
          select jsonb_object_agg(ss.step_slug, coalesce(ss.output, 'null'))
          from pgflow.step_states ss
          where ss.run_id = r.run_id
            and ss.status = 'completed'
            and not exists (select from pgflow.deps d where d.flow_slug = ss.flow_slug and d.dep_slug = ss.step_slug)
        )
    from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as advancing
    cross join lateral (
      select run.ctid as row_id
      from pgflow.runs run
      where run.run_id = advancing.run_id and run.status = 'started' and run.remaining_steps = 0
      offset 0
    ) as done
    where r.ctid = done.row_id
    returning r.run_id
  )
  select array_agg(run_id order by run_id) into v_completed from completed;

  if v_completed is not null then
    perform pgflow._emit_events('run:completed', v_completed);
  end if;
end
$$;
