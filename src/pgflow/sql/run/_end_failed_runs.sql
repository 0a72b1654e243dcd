-- Fails runs, whatever failed them; their steps and tasks are left as they are. No message of a failed run stays in a queue.
create or replace function pgflow._end_failed_runs(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  update pgflow.runs r
  set status = 'failed', failed_at = greatest(pgflow._now(), r.started_at)
  where r.run_id = any (p_run_ids);

  perform pgflow._emit_events('run:failed', p_run_ids);
  perform pgflow._archive_active_messages(p_run_ids);
  perform pgflow._notify_runs(p_run_ids);
end
$$;
