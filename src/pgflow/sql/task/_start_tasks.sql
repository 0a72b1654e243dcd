-- Claims the queued tasks that these messages announce and returns those it claimed, in the order of their messages and
-- without their inputs. Everything else is ignored: tasks that others started or ended, and tasks of runs or steps that
-- don't go on. NULL if there are none.
create or replace function pgflow._start_tasks(p_flow_slug text, p_message_ids bigint[], p_worker_id uuid)
returns pgflow.started_task[]
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
set enable_sort to on
as $$
declare
  v_row_ids tid[];
  v_tasks pgflow.started_task[];
begin
  -- Never waits for a task: whoever holds one starts it, or ends it with its run. The caller may hold locks on the
  -- messages it has read, which the holder of the task needs next.
  select array_agg(claimable.row_id) into v_row_ids
  from (select distinct message_id from unnest(p_message_ids) as message_id order by message_id) as message
  cross join lateral (
    select t.ctid as row_id
    from pgflow.step_tasks t
    cross join lateral (
      select
      from pgflow.runs r, pgflow.step_states ss
      where r.run_id = t.run_id and r.status = 'started'
        and ss.run_id = t.run_id and ss.step_slug = t.step_slug and ss.status = 'started'
      offset 0
    ) as going_on
    where t.flow_slug = p_flow_slug and t.message_id = message.message_id and t.status = 'queued'
    offset 0
    for no key update of t skip locked
  ) as claimable;

  with claimed as (
    update pgflow.step_tasks t
    set status = 'started',
        attempts_count = t.attempts_count + 1,
        started_at = greatest(pgflow._now(), t.queued_at),
        last_worker_id = p_worker_id
    where t.ctid = any (v_row_ids)
    returning t.run_id, t.step_slug, t.task_index, t.message_id, t.attempts_count, t.attempts_before_retry
  )
  select array_agg(row(
    p_flow_slug, c.run_id, c.step_slug, c.task_index, null, null, c.message_id, c.attempts_count,
    least(coalesce(s.opt_max_attempts, f.opt_max_attempts)::bigint + c.attempts_before_retry, 2147483647)::int,
    coalesce(s.opt_timeout, f.opt_timeout), coalesce(s.opt_base_delay, f.opt_base_delay), c.attempts_before_retry
  )::pgflow.started_task order by c.message_id)
  into v_tasks
  from claimed c
  join pgflow.flows f on f.flow_slug = p_flow_slug
  join pgflow.steps s on s.flow_slug = p_flow_slug and s.step_slug = c.step_slug;

  return v_tasks;
end
$$;
