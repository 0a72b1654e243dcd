create or replace function pgflow._delay_runs(p_run_ids uuid[], p_seconds int)
returns int
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select count(message.msg_id)::int
  from pgflow.step_tasks t
  cross join lateral pgmq.set_vt(t.flow_slug, t.message_id, p_seconds) as message
  where t.run_id = any (p_run_ids) and t.status = 'queued'
$$;
comment on function pgflow._delay_runs(uuid[], int) is 'Makes the queued tasks of runs visible in so many seconds. Returns their number.';
