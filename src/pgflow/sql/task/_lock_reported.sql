-- All locks that reports need, before anything is changed: completions and failures of one batch may belong to the same
-- runs. Returns the runs that go on, or NULL, and, parallel to the arrays, where each task is and the flow it belongs to;
-- NULLs for tasks whose run doesn't go on, and for those that aren't there.
create or replace function pgflow._lock_reported(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  out going_on uuid[],
  out row_ids tid[],
  out flow_slugs text[]
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_ended uuid[];
begin
  select runs.going_on, runs.ended into going_on, v_ended from pgflow._lock_runs(p_run_ids) as runs;
  select tasks.row_ids, tasks.flow_slugs into row_ids, flow_slugs
  from pgflow._lock_tasks(p_run_ids, p_step_slugs, p_task_indexes) as tasks;

  if v_ended is not null then
    select
      array_agg(case when run_id <> all (v_ended) then row_id end order by "position"),
      array_agg(case when run_id <> all (v_ended) then flow_slug end order by "position")
    into row_ids, flow_slugs
    from unnest(p_run_ids, row_ids, flow_slugs) with ordinality as task (run_id, row_id, flow_slug, "position");
  end if;
end
$$;
