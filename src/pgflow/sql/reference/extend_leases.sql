create or replace function pgflow.extend_leases(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[],
  p_seconds int default 30
)
returns int[]
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with held as materialized (
    select
      wanted."position", t.flow_slug, t.message_id,
      t.started_at + make_interval(secs => coalesce(s.opt_timeout, f.opt_timeout) - 3) < now() as is_returning
    from unnest(p_run_ids, p_step_slugs, p_task_indexes, p_attempts) with ordinality
      as wanted (run_id, step_slug, task_index, attempt, "position")
    join pgflow.step_tasks t
      on t.run_id = wanted.run_id and t.step_slug = wanted.step_slug and t.task_index = wanted.task_index
    join pgflow.runs r on r.run_id = t.run_id
    join pgflow.flows f on f.flow_slug = t.flow_slug
    join pgflow.steps s on s.flow_slug = t.flow_slug and s.step_slug = t.step_slug
    where t.status = 'started' and t.attempts_count = wanted.attempt and r.status = 'started'
  ), extended as materialized (
    select message.msg_id
    from (
      select held.flow_slug, held.message_id from held where held.is_returning order by held.flow_slug, held.message_id
    ) as due
    cross join lateral pgmq.set_vt(due.flow_slug, due.message_id, p_seconds) as message
  )
  select coalesce(array_agg(held."position"::int order by held."position"), '{}')
  from held
  where (select count(*) from extended) >= 0
$$;
comment on function pgflow.extend_leases(uuid[], text[], int[], int[], int) is 'Keeps the messages of running tasks invisible for another p_seconds where they would come back soon. Returns the positions, from 1, of the tasks that still run in these attempts.';
