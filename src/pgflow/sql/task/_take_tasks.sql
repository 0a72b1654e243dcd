-- Reads up to p_limit visible messages of a flow and starts their tasks, which it returns without their inputs; NULL if
-- there are none. Messages are read here rather than by pgmq.read: one update gives each its lease, and those that become
-- visible later, however many, cost nothing because they are found by that time.
create or replace function pgflow._take_tasks(p_flow_slug text, p_worker_id uuid, p_limit int)
returns pgflow.started_task[]
language plpgsql
set search_path to pg_catalog, pg_temp
set enable_seqscan to off
set jit to off
set enable_bitmapscan to off
set enable_sort to off
as $$
declare
  v_queue text;
  v_message_ids bigint[];
  v_row_ids tid[];
  v_tasks pgflow.started_task[];
begin
  -- Other queues are nobody's business here: who may work tasks has no right to what the application keeps in them.
  if not exists (select from pgflow.flows f where f.flow_slug = p_flow_slug) then
    return null;
  end if;

  v_queue := pgmq.format_table_name(p_flow_slug, 'q');
  execute format(
    $sql$
      select array_agg(visible.msg_id), array_agg(visible.row_id)
      from (
        select q.msg_id, q.ctid as row_id from pgmq.%I q where q.vt <= $1 order by q.vt limit $2 for update skip locked
      ) as visible
    $sql$,
    v_queue
  ) into v_message_ids, v_row_ids using clock_timestamp(), p_limit;
  if v_message_ids is null then
    return null;
  end if;

  v_tasks := pgflow._start_tasks(p_flow_slug, v_message_ids, p_worker_id);

  -- Two seconds past the timeout, so that a worker reports it before the message comes back. A message whose task can't
  -- be started now, because somebody else works on it, stays away for five seconds.
  execute format(
    $sql$
      update pgmq.%I q
      set vt = clock_timestamp() + make_interval(secs => coalesce(task.timeout::bigint + 2, 5)), read_ct = q.read_ct + 1
      from unnest($1, $2) as visible (row_id, message_id)
      left join unnest($3) as task on task.message_id = visible.message_id
      where q.ctid = visible.row_id
    $sql$,
    v_queue
  ) using v_row_ids, v_message_ids, v_tasks;

  if cardinality(v_message_ids) > coalesce(cardinality(v_tasks), 0) then
    perform pgflow._archive_orphans(p_flow_slug, v_message_ids);
  end if;
  return v_tasks;
end
$$;
