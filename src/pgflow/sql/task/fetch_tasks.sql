create or replace function pgflow.fetch_tasks(p_flow_slug text, p_worker_id uuid, p_limit int)
returns setof pgflow.started_task
language plpgsql
set search_path to pg_catalog, pg_temp
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
as $$
begin
  -- A message whose task can't be started, because somebody else works on it, stays away for five seconds.
  return query
    select task.*
    from pgflow._start_tasks(
      p_flow_slug,
      array(select message.msg_id from pgmq.read(p_flow_slug, 5, p_limit) as message),
      p_worker_id
    ) as task;
end
$$;
comment on function pgflow.fetch_tasks(text, uuid, int) is 'Reads up to p_limit messages of a flow and starts their tasks, in one call; returns the tasks started.';
