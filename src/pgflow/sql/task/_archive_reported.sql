-- Archives the messages of reported tasks that nobody needs any more: the task has completed, or its step no longer
-- goes on. The messages of a failed run went with it.
create or replace function pgflow._archive_reported(p_run_ids uuid[], p_step_slugs text[], p_task_indexes int[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_flow_slugs text[];
  v_message_ids bigint[];
begin
  select array_agg(task.flow_slug), array_agg(task.message_id)
  into v_flow_slugs, v_message_ids
  from (
    select *
    from unnest(p_run_ids, p_step_slugs, p_task_indexes) as report (run_id, step_slug, task_index)
  ) as report
  cross join lateral (
    select t.flow_slug, t.message_id
    from pgflow.runs r, pgflow.step_states ss, pgflow.step_tasks t
    where r.run_id = report.run_id
      and ss.run_id = report.run_id and ss.step_slug = report.step_slug
      and t.run_id = report.run_id and t.step_slug = report.step_slug and t.task_index = report.task_index
      and r.status <> 'failed'
      and (t.status = 'completed' or ss.status <> 'started')
    offset 0
  ) as task;

  if v_message_ids is not null then
    perform pgflow._archive_messages(v_flow_slugs, v_message_ids);
  end if;
end
$$;
