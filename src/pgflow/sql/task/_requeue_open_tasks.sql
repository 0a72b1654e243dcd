-- Puts all tasks that haven't completed, of the started steps of runs, back into their queues with new messages and all
-- their attempts: numbers of attempts go on, so that a report of an earlier one is never taken for one of these.
create or replace function pgflow._requeue_open_tasks(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_open record;
  v_queue record;
  v_message_ids bigint[];
begin
  -- Which these are, and their messages, only changes under the locks of their runs.
  select
    array_agg(open.flow_slug) as flow_slugs, array_agg(open.run_id) as run_ids,
    array_agg(open.step_slug) as step_slugs, array_agg(open.task_index) as task_indexes,
    array_agg(open.message_id) as message_ids
  into v_open
  from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as retried
  cross join lateral (
    select ss.step_slug from pgflow.step_states ss where ss.run_id = retried.run_id and ss.status = 'started' offset 0
  ) as started
  cross join lateral (
    select t.flow_slug, t.run_id, t.step_slug, t.task_index, t.message_id
    from pgflow.step_tasks t
    where t.run_id = retried.run_id and t.step_slug = started.step_slug and t.status <> 'completed'
    offset 0
  ) as open;

  -- Whoever starts tasks or recovers them doesn't lock their runs.
  perform pgflow._lock_tasks(v_open.run_ids, v_open.step_slugs, v_open.task_indexes);

  -- All messages are gone already, unless rows were changed by hand.
  perform pgflow._archive_messages(v_open.flow_slugs, v_open.message_ids);

  for v_queue in
    select open.flow_slug,
      array_agg(open.run_id order by open.step_slug, open.run_id, open.task_index) as run_ids,
      array_agg(open.step_slug order by open.step_slug, open.run_id, open.task_index) as step_slugs,
      array_agg(open.task_index order by open.step_slug, open.run_id, open.task_index) as task_indexes,
      array_agg(jsonb_build_object(
        'flow_slug', open.flow_slug, 'run_id', open.run_id, 'step_slug', open.step_slug, 'task_index', open.task_index
      ) order by open.step_slug, open.run_id, open.task_index) as messages
    from unnest(v_open.flow_slugs, v_open.run_ids, v_open.step_slugs, v_open.task_indexes)
      as open (flow_slug, run_id, step_slug, task_index)
    group by open.flow_slug
    order by open.flow_slug
  loop
    v_message_ids := array(
      select sent.message_id from pgmq.send_batch(v_queue.flow_slug, v_queue.messages, 0) as sent (message_id) order by 1);

    update pgflow.step_tasks t
    set status = 'queued',
        message_id = open.message_id,
        attempts_before_retry = t.attempts_count,
        started_at = null, failed_at = null, output = null, last_worker_id = null,
        requeued_count = 0, permanently_stalled_at = null
    from (
      select *
      from unnest(v_queue.run_ids, v_queue.step_slugs, v_queue.task_indexes, v_message_ids)
        as open (run_id, step_slug, task_index, message_id)
      limit cardinality(v_message_ids)
    ) as open
    cross join lateral (
      select task.ctid as row_id
      from pgflow.step_tasks task
      where task.run_id = open.run_id and task.step_slug = open.step_slug and task.task_index = open.task_index
      offset 0
    ) as found
    where t.ctid = found.row_id;

    perform pgflow._notify('tasks', v_queue.flow_slug);
  end loop;
end
$$;
