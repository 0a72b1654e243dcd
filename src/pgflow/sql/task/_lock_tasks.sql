-- Taken after the locks of their runs: recovery and start_tasks change tasks without those.
create or replace function pgflow._lock_tasks(p_run_ids uuid[], p_step_slugs text[], p_task_indexes int[])
returns void
language plpgsql
set search_path to ''
as $$
begin
  perform
  from pgflow.step_tasks t
  join (
    select distinct run_id, step_slug, task_index
    from unnest(p_run_ids, p_step_slugs, p_task_indexes) as wanted (run_id, step_slug, task_index)
    limit cardinality(p_run_ids)
  ) as wanted using (run_id, step_slug, task_index)
  order by t.run_id, t.step_slug, t.task_index
  for no key update of t;
end
$$;
