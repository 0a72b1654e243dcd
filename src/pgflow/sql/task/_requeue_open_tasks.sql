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
  -- Locked before they are looked at: whoever starts tasks or recovers them doesn't lock their runs.
  with locked as (
    select t.flow_slug, t.run_id, t.step_slug, t.task_index, t.message_id
    from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as retried
    join pgflow.step_states ss on ss.run_id = retried.run_id and ss.status = 'started'
    join pgflow.step_tasks t on t.run_id = ss.run_id and t.step_slug = ss.step_slug and t.status <> 'completed'
    order by t.run_id, t.step_slug, t.task_index
    for no key update of t
  )
  select
    array_agg(locked.flow_slug) as flow_slugs, array_agg(locked.run_id) as run_ids,
    array_agg(locked.step_slug) as step_slugs, array_agg(locked.task_index) as task_indexes,
    array_agg(locked.message_id) as message_ids
  into v_open
  from locked;

  -- All of them are gone already, unless rows were changed by hand.
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
    where t.run_id = open.run_id and t.step_slug = open.step_slug and t.task_index = open.task_index;

    perform pgflow._notify('tasks', v_queue.flow_slug);
  end loop;
end
$$;
