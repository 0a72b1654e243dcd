create or replace function pgflow._ended_runs(p_run_ids uuid[])
returns table (run_id uuid, flow_slug text, status text, seconds double precision, error_message text)
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select
    r.run_id, r.flow_slug, r.status, extract(epoch from coalesce(r.completed_at, r.failed_at) - r.started_at),
    (
      select min(ss.error_message) from pgflow.step_states ss where ss.run_id = r.run_id and ss.status = 'failed'
    )
  from pgflow.runs r
  where r.run_id = any (p_run_ids) and r.status in ('completed', 'failed')
  order by r.run_id
$$;
comment on function pgflow._ended_runs(uuid[]) is 'Those of these runs that have ended, with their duration, and the error of the step that failed.';
