create or replace function pgflow.fail_task(run_id uuid, step_slug text, task_index int, error_message text)
returns setof pgflow.step_tasks
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._fail_tasks(
    array[fail_task.run_id], array[fail_task.step_slug],
    array[fail_task.task_index], array[fail_task.error_message]);

  return query
    select t.*
    from pgflow.step_tasks t
    where t.run_id = fail_task.run_id
      and t.step_slug = fail_task.step_slug
      and t.task_index = fail_task.task_index;
end
$$;
comment on function pgflow.fail_task(uuid, text, int, text) is 'Reports that a started task has failed: it is retried, or, out of attempts, its step says what follows. Returns the task as it is then; a late or repeated report changes nothing.';
