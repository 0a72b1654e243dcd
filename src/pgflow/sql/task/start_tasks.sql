create or replace function pgflow.start_tasks(flow_slug text, msg_ids bigint[], worker_id uuid)
returns setof pgflow.step_task_record
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_tasks pgflow.started_task[];
begin
  select started.tasks into v_tasks
  from pgflow._start_tasks(start_tasks.flow_slug, start_tasks.msg_ids, start_tasks.worker_id) as started;

  -- Two seconds past the timeout, so that a worker reports it before the message comes back.
  perform pgflow._set_visibility(array_agg(task.flow_slug), array_agg(task.message_id), array_agg(least(task.timeout, 2147483645) + 2))
  from unnest(v_tasks) as task;

  return query
    select task.flow_slug, task.run_id, task.step_slug, task.input, task.message_id, task.task_index, task.flow_input
    from pgflow._fill_inputs(v_tasks) as task;
end
$$;
comment on function pgflow.start_tasks(text, bigint[], uuid) is 'Starts the queued tasks that these messages announce and returns those that this call started, with their inputs.';
