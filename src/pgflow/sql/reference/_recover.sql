-- Without a count of recoveries a task that stalls again and again is known by its attempts: three more than allowed.
-- It is failed by the core's own function, which locks its run, so it isn't locked here.
create or replace function pgflow._recover(p_buffer double precision)
returns table (requeued_count int, failed_count int)
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with stalled as materialized (
    select
      t.run_id, t.step_slug, t.task_index, t.attempts_count,
      t.attempts_count < coalesce(s.opt_max_attempts, f.opt_max_attempts) + 3 as may_go_on
    from pgflow.step_tasks t
    join pgflow.runs r on r.run_id = t.run_id and r.status = 'started'
    join pgflow.flows f on f.flow_slug = t.flow_slug
    join pgflow.steps s on s.flow_slug = t.flow_slug and s.step_slug = t.step_slug
    where t.status = 'started'
      and t.started_at < now() - make_interval(secs => p_buffer + coalesce(s.opt_timeout, f.opt_timeout))
  ), due as materialized (
    select t.run_id, t.step_slug, t.task_index, t.attempts_count
    from stalled
    join pgflow.step_tasks t
      on t.run_id = stalled.run_id and t.step_slug = stalled.step_slug and t.task_index = stalled.task_index
    where stalled.may_go_on and t.status = 'started' and t.attempts_count = stalled.attempts_count
    order by t.run_id, t.step_slug, t.task_index
    for no key update of t skip locked
  ), requeued as (
    update pgflow.step_tasks t
    set status = 'queued', started_at = null, last_worker_id = null
    from due
    where t.run_id = due.run_id and t.step_slug = due.step_slug and t.task_index = due.task_index
      and t.status = 'started' and t.attempts_count = due.attempts_count
    returning t.flow_slug, t.message_id
  ), visible as materialized (
    select message.msg_id
    from requeued
    cross join lateral pgmq.set_vt(requeued.flow_slug, requeued.message_id, 0) as message
  ), exhausted as materialized (
    select stalled.* from stalled where not stalled.may_go_on
    order by stalled.run_id, stalled.step_slug, stalled.task_index
  ), failed as materialized (
    select answer.status
    from exhausted
    cross join lateral pgflow.fail_task(
      exhausted.run_id, exhausted.step_slug, exhausted.task_index, 'The task stalled again and again'
    ) as answer
  )
  select
    (select count(*) from requeued)::int + 0 * (select count(*) from visible)::int,
    (select count(*) from failed where failed.status = 'failed')::int
$$;
comment on function pgflow._recover(double precision) is 'Puts tasks back that have been started for longer than their timeout and p_buffer seconds. One that has stalled three times beyond its attempts has failed.';
