-- Those of these runs that have ended, as workers are told about them; NULL if there are none.
create or replace function pgflow._ended_runs(p_run_ids uuid[])
returns pgflow.ended_run[]
language plpgsql stable
set search_path to pg_catalog, pg_temp
as $$
declare
  v_ended pgflow.ended_run[];
begin
  select array_agg(row(
    r.run_id, r.flow_slug, r.status, extract(epoch from coalesce(r.completed_at, r.failed_at) - r.started_at),
    case
      when r.status = 'failed' then (
        select max(ss.error_message) from pgflow.step_states ss where ss.run_id = r.run_id and ss.status = 'failed')
    end
  )::pgflow.ended_run)
  into v_ended
  from unnest(p_run_ids) as reported (run_id)
  cross join lateral (
    select run.* from pgflow.runs run where run.run_id = reported.run_id and run.status <> 'started' offset 0
  ) as r;
  return v_ended;
end
$$;
