-- Claims the queued tasks that these messages announce and returns those it claimed, in the order of their messages.
-- Everything else is ignored: tasks that others started or ended, and tasks of runs or steps that don't go on.
-- NULL if there are none. Root steps that aren't maps get the input of their run, which has just been looked at;
-- lacks_inputs says whether there are others, which _fill_inputs gives theirs. has_own_timeouts says whether a timeout is
-- another than that of the flow.
create or replace function pgflow._start_tasks(
  p_flow_slug text,
  p_message_ids bigint[],
  p_worker_id uuid,
  out tasks pgflow.started_task[],
  out lacks_inputs boolean,
  out has_own_timeouts boolean
)
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
set enable_sort to on
as $$
declare
  v_flow pgflow.flows;
begin
  select f.* into v_flow from pgflow.flows f where f.flow_slug = p_flow_slug;

  -- Never waits for a task: whoever holds one starts it, or ends it with its run. The caller may hold locks on the
  -- messages it has read, which the holder of the task needs next.
  with claimed as (
    update pgflow.step_tasks t
    set status = 'started',
        attempts_count = t.attempts_count + 1,
        started_at = greatest(pgflow._now(), t.queued_at),
        last_worker_id = p_worker_id
    from (select distinct message_id from unnest(p_message_ids) as message_id order by message_id) as message
    cross join lateral (
      select task.ctid as row_id, task.run_id, task.step_slug
      from pgflow.step_tasks task
      where task.flow_slug = p_flow_slug and task.message_id = message.message_id and task.status = 'queued'
      offset 0
      for no key update skip locked
    ) as claimable
    cross join lateral (
      select
        s.step_type = 'single' and s.deps_count = 0 as is_single_root,
        coalesce(s.opt_max_attempts, v_flow.opt_max_attempts) as max_attempts,
        coalesce(s.opt_timeout, v_flow.opt_timeout) as timeout,
        coalesce(s.opt_base_delay, v_flow.opt_base_delay) as base_delay
      from pgflow.steps s
      where s.flow_slug = p_flow_slug and s.step_slug = claimable.step_slug
      offset 0
    ) as step
    cross join lateral (
      select case when step.is_single_root then r.input end as run_input
      from pgflow.runs r, pgflow.step_states ss
      where r.run_id = claimable.run_id and r.status = 'started'
        and ss.run_id = claimable.run_id and ss.step_slug = claimable.step_slug and ss.status = 'started'
      offset 0
    ) as going_on
    where t.ctid = claimable.row_id
    returning t.run_id, t.step_slug, t.task_index, t.message_id, t.attempts_count, t.attempts_before_retry, step.*, going_on.*
  )
  select
    array_agg(row(
      p_flow_slug, c.run_id, c.step_slug, c.task_index, case when c.run_input is not null then '{}'::jsonb end, c.run_input,
      c.message_id, c.attempts_count, least(c.max_attempts::bigint + c.attempts_before_retry, 2147483647)::int,
      c.timeout, c.base_delay, c.attempts_before_retry
    )::pgflow.started_task order by c.message_id),
    bool_or(c.run_input is null),
    bool_or(c.timeout <> v_flow.opt_timeout)
  into tasks, lacks_inputs, has_own_timeouts
  from claimed c;
end
$$;
