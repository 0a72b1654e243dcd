create or replace function pgflow.fail_stalled_tasks()
returns int
language plpgsql security definer
set search_path to pg_catalog, pg_temp
as $$
declare
  v_tasks record;
begin
  select
    array_agg(t.run_id) as run_ids, array_agg(t.step_slug) as step_slugs,
    array_agg(t.task_index) as task_indexes, array_agg(t.attempts_count) as attempts
  into v_tasks
  from pgflow.flows f
  join pgflow.runs r on r.flow_slug = f.flow_slug
  join pgflow.step_tasks t on t.run_id = r.run_id
  where r.status = 'started' and t.status = 'started' and t.permanently_stalled_at is not null;

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
