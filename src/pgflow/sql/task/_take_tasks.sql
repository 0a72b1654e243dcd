-- Reads up to p_limit visible messages of a flow and starts their tasks, which it returns with their inputs; NULL if there
-- are none. Messages are read here rather than by pgmq.read: one update gives each its lease, and those that become
-- visible later, however many, cost nothing because they are found by that time. Reading begins at p_since: what was
-- taken before leaves dead entries at the front of the index, which can't be removed while an old transaction is open.
-- read_until is how far it came if there may be more, else NULL. next_at is when the next message becomes visible, NULL
-- if there is none.
create or replace function pgflow._take_tasks(
  p_flow_slug text,
  p_worker_id uuid,
  p_limit int,
  p_since timestamptz default null,
  out tasks pgflow.started_task[],
  out read_until timestamptz,
  out next_at timestamptz
)
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
set enable_bitmapscan to off
set enable_sort to off
as $$
declare
  v_timeout int;
  v_message_ids bigint[];
  v_started record;
begin
  -- Other queues are nobody's business here: who may work tasks has no right to what the application keeps in them.
  select f.opt_timeout into v_timeout from pgflow.flows f where f.flow_slug = p_flow_slug;
  if not found then
    return;
  end if;

  -- The lease lasts two seconds longer than the timeout, so that a worker reports it before the message comes back.
  -- Messages that others have locked are passed over. Then the one behind those taken may be visible already, and next_at
  -- is in the past: others take what they have locked, or leave it again soon.
  execute format(
    $sql$
      with visible as (
        select q.ctid as row_id, q.vt
        from pgmq.%1$I q
        where q.vt >= $1 and q.vt <= $2
        order by q.vt
        limit $3
        for update skip locked
      ), taken as (
        update pgmq.%1$I q
        set vt = clock_timestamp() + make_interval(secs => $4), read_ct = q.read_ct + 1
        where q.ctid = any (array(select row_id from visible))
        returning q.msg_id
      )
      select
        (select array_agg(msg_id) from taken),
        (select max(vt) from visible having count(*) = $3),
        case when (select count(*) from visible) < $3 then (
          select q.vt from pgmq.%1$I q where q.vt >= $1 order by q.vt offset (select count(*) from visible) limit 1
        ) end
    $sql$,
    pgmq.format_table_name(p_flow_slug, 'q')
  )
  into v_message_ids, read_until, next_at
  using coalesce(p_since, '-infinity'), clock_timestamp(), p_limit, v_timeout::bigint + 2;
  if v_message_ids is null then
    return;
  end if;

  select * into v_started from pgflow._start_tasks(p_flow_slug, v_message_ids, p_worker_id);
  tasks := v_started.tasks;

  -- A message whose task can't be started now, because somebody else works on it, stays away for five seconds.
  if cardinality(v_message_ids) > coalesce(cardinality(tasks), 0) then
    perform pgflow._put_off_messages(
      p_flow_slug, array(select unnest(v_message_ids) except all select task.message_id from unnest(tasks) as task), 5);
    next_at := least(next_at, clock_timestamp() + interval '5 seconds');
  end if;
  if v_started.has_own_timeouts then
    perform pgflow._set_visibility(
      array_agg(task.flow_slug), array_agg(task.message_id), array_agg(least(task.timeout, 2147483645) + 2))
    from unnest(tasks) as task;
  end if;
  if v_started.lacks_inputs then
    tasks := array(select task from pgflow._fill_inputs(tasks) as task);
  end if;
end
$$;
