-- Taken after the locks of their runs: recovery and start_tasks change tasks without those. Returns, parallel to the
-- arrays, where each task is and the flow it belongs to; NULLs for a task that isn't there.
create or replace function pgflow._lock_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  out row_ids tid[],
  out flow_slugs text[]
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  -- The linter doesn't see what a subquery locks: @plpgsql_check_options: performance_warnings = off
  select array_agg(locked.row_id order by wanted."position"), array_agg(locked.flow_slug order by wanted."position")
  into row_ids, flow_slugs
  from (
    select *
    from unnest(p_run_ids, p_step_slugs, p_task_indexes) with ordinality
      as task (run_id, step_slug, task_index, "position")
    order by run_id, step_slug, task_index
  ) as wanted
  left join lateral (
    select t.ctid as row_id, t.flow_slug
    from pgflow.step_tasks t
    where t.run_id = wanted.run_id and t.step_slug = wanted.step_slug and t.task_index = wanted.task_index
    offset 0
    for no key update
  ) as locked on true;
end
$$;
