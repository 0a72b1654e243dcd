-- Taken after the locks of their runs: recovery and start_tasks change tasks without those.
create or replace function pgflow._lock_tasks(p_run_ids uuid[], p_step_slugs text[], p_task_indexes int[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform
  from (
    select distinct run_id, step_slug, task_index
    from unnest(p_run_ids, p_step_slugs, p_task_indexes) as task (run_id, step_slug, task_index)
    order by run_id, step_slug, task_index
  ) as wanted
  cross join lateral (
    select
    from pgflow.step_tasks t
    where t.run_id = wanted.run_id and t.step_slug = wanted.step_slug and t.task_index = wanted.task_index
    offset 0
    for no key update
  ) as locked;
end
$$;
