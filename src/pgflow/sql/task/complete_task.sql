create or replace function pgflow.complete_task(run_id uuid, step_slug text, task_index int, output jsonb)
returns setof pgflow.step_tasks
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._complete_tasks(
    array[complete_task.run_id], array[complete_task.step_slug],
    array[complete_task.task_index], array[complete_task.output]);

  return query
    select t.*
    from pgflow.step_tasks t
    where t.run_id = complete_task.run_id
      and t.step_slug = complete_task.step_slug
      and t.task_index = complete_task.task_index;
end
$$;
comment on function pgflow.complete_task(uuid, text, int, jsonb) is 'Reports that a started task has completed with an output. Returns the task as it is then; a late or repeated report changes nothing.';
