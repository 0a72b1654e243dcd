-- Reads up to p_limit visible messages of a flow and starts their tasks, which it returns without their inputs; NULL if
-- there are none. Messages are read here rather than by pgmq.read: one update gives each its lease, and those that become
-- visible later, however many, cost nothing because they are found by that time. Reading begins at p_since: what was
-- taken before leaves dead entries at the front of the index, which can't be removed while an old transaction is open.
-- read_until is how far it came if there may be more, else NULL.
create or replace function pgflow._take_tasks(
  p_flow_slug text,
  p_worker_id uuid,
  p_limit int,
  p_since timestamptz default null,
  out tasks pgflow.started_task[],
  out read_until timestamptz
)
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
begin
  -- Other queues are nobody's business here: who may work tasks has no right to what the application keeps in them.
  if not exists (select from pgflow.flows f where f.flow_slug = p_flow_slug) then
    return;
  end if;

  v_queue := pgmq.format_table_name(p_flow_slug, 'q');
  execute format(
    $sql$
      select array_agg(visible.msg_id), array_agg(visible.row_id), max(visible.vt)
      from (
        select q.msg_id, q.ctid as row_id, q.vt
        from pgmq.%I q
        where q.vt >= $1 and q.vt <= $2
        order by q.vt
        limit $3
        for update skip locked
      ) as visible
    $sql$,
    v_queue
  )
  into v_message_ids, v_row_ids, read_until
  using coalesce(p_since, '-infinity'), clock_timestamp(), p_limit;
  if v_message_ids is null then
    return;
  end if;
  if cardinality(v_message_ids) < p_limit then
    read_until := null;
  end if;

  tasks := pgflow._start_tasks(p_flow_slug, v_message_ids, p_worker_id);

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
  ) using v_row_ids, v_message_ids, tasks;

  if cardinality(v_message_ids) > coalesce(cardinality(tasks), 0) then
    perform pgflow._archive_orphans(p_flow_slug, v_message_ids);
  end if;
end
$$;
