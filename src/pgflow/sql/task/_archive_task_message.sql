create or replace function pgflow._archive_task_message(p_run_id uuid, p_step_slug text, p_task_index int)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_task record;
begin
  select t.flow_slug, t.message_id into v_task
  from pgflow.step_tasks t
  where t.run_id = p_run_id and t.step_slug = p_step_slug and t.task_index = p_task_index;

  if v_task.message_id is not null then
    perform pgflow._archive_messages(array[v_task.flow_slug], array[v_task.message_id]);
  end if;
end
$$;
comment on function pgflow._archive_task_message(uuid, text, int) is 'Archives the message of a task, if it has one in the queue.';
