create or replace function pgflow.delay_run(p_flow_slug text, p_run_id uuid, p_seconds int)
returns int
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_message_ids bigint[];
begin
  -- The run before its tasks, and those before their messages, as everybody locks them: a report may change several tasks
  -- and messages, one after the other.
  perform pgflow._lock_runs(array[p_run_id]);
  with queued as (
    select t.message_id
    from pgflow.step_tasks t
    where t.run_id = p_run_id and t.flow_slug = p_flow_slug and t.status = 'queued' and t.message_id is not null
    order by t.step_slug, t.task_index
    for no key update of t
  )
  select array_agg(queued.message_id) into v_message_ids from queued;

  if v_message_ids is null then
    return 0;
  end if;

  perform pgflow.set_vt_batch(
    p_flow_slug, v_message_ids, array_fill(p_seconds, array[cardinality(v_message_ids)]));
  perform pgflow._notify('tasks', p_flow_slug);
  return cardinality(v_message_ids);
end
$$;
comment on function pgflow.delay_run(text, uuid, int) is 'Makes the queued tasks of a run visible in so many seconds; returns their number. Call it in the transaction that started the run, or a worker may be faster.';
