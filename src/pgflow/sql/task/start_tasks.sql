create or replace function pgflow.start_tasks(flow_slug text, msg_ids bigint[], worker_id uuid)
returns setof pgflow.step_task_record
language sql
set search_path to pg_catalog, pg_temp
as $$
  select task.flow_slug, task.run_id, task.step_slug, task.input, task.message_id, task.task_index, task.flow_input
  from pgflow._start_tasks(start_tasks.flow_slug, start_tasks.msg_ids, start_tasks.worker_id) as task;
$$;
comment on function pgflow.start_tasks(text, bigint[], uuid) is 'Starts the queued tasks that these messages announce and returns those that this call started, with their inputs.';
