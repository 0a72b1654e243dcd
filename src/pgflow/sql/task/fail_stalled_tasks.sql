create or replace function pgflow.fail_stalled_tasks()
returns int
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_tasks record;
begin
  select
    array_agg(t.run_id) as run_ids, array_agg(t.step_slug) as step_slugs,
    array_agg(t.task_index) as task_indexes, array_agg(t.attempts_count) as attempts
  into v_tasks
  from pgflow.flows f
  cross join lateral (
    select run.run_id from pgflow.runs run where run.flow_slug = f.flow_slug and run.status = 'started' offset 0
  ) as r
  cross join lateral (
    select task.*
    from pgflow.step_tasks task
    where task.run_id = r.run_id and task.status = 'started' and task.permanently_stalled_at is not null
    offset 0
  ) as t;

  if v_tasks.run_ids is null then
    return 0;
  end if;

  return cardinality(pgflow._fail_tasks(
    v_tasks.run_ids, v_tasks.step_slugs, v_tasks.task_indexes,
    array_fill('Task stalled: its workers never reported'::text, array[cardinality(v_tasks.run_ids)]),
    v_tasks.attempts,
    array_fill(true, array[cardinality(v_tasks.run_ids)])
  ));
end
$$;
comment on function pgflow.fail_stalled_tasks() is 'Fails the tasks that recovery has given up, so that their steps and runs end by their own policy. Returns their number.';
