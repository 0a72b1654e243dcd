create or replace function pgflow.extend_leases(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[],
  p_seconds int default 30
)
returns int[]
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_positions int[];
  v_returning record;
begin
  select coalesce(array_agg(wanted."position"::int order by wanted."position"), '{}') into v_positions
  from unnest(p_run_ids, p_step_slugs, p_task_indexes, p_attempts) with ordinality
    as wanted (run_id, step_slug, task_index, attempt, "position")
  cross join lateral (
    select
    from pgflow.step_tasks t, pgflow.step_states ss, pgflow.runs r
    where t.run_id = wanted.run_id and t.step_slug = wanted.step_slug and t.task_index = wanted.task_index
      and t.status = 'started' and t.attempts_count = wanted.attempt
      and ss.run_id = t.run_id and ss.step_slug = t.step_slug and ss.status = 'started'
      and r.run_id = t.run_id and r.status = 'started'
    offset 0
  ) as held;

  -- Only messages that come back within five seconds: the claim keeps them away for the timeout, so most never do. A
  -- task that somebody holds is about to be reported.
  select array_agg(locked.flow_slug) as flow_slugs, array_agg(locked.message_id) as message_ids into v_returning
  from (
    select p_run_ids[held."position"] as run_id, p_step_slugs[held."position"] as step_slug,
      p_task_indexes[held."position"] as task_index, p_attempts[held."position"] as attempt
    from unnest(v_positions) as held ("position")
    order by 1, 2, 3
  ) as wanted
  cross join lateral (
    select t.flow_slug, t.message_id
    from pgflow.step_tasks t
    where t.run_id = wanted.run_id and t.step_slug = wanted.step_slug and t.task_index = wanted.task_index
      and t.status = 'started' and t.attempts_count = wanted.attempt
      and t.started_at < pgflow._now() + interval '3 seconds' - make_interval(secs => (
        select coalesce(s.opt_timeout, f.opt_timeout)
        from pgflow.flows f, pgflow.steps s
        where f.flow_slug = t.flow_slug and s.flow_slug = t.flow_slug and s.step_slug = t.step_slug
      ))
    offset 0
    for no key update of t skip locked
  ) as locked;

  perform pgflow._set_visibility(
    v_returning.flow_slugs, v_returning.message_ids,
    array_fill(p_seconds, array[coalesce(cardinality(v_returning.message_ids), 0)]));

  return v_positions;
end
$$;
comment on function pgflow.extend_leases(uuid[], text[], int[], int[], int) is 'Keeps the messages of running tasks, identified as in complete_tasks, invisible for another p_seconds where they would come back soon. Returns the positions, from 1, of the tasks that still run in these attempts; the others were taken away.';
