create or replace function pgflow.release_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[],
  p_delays int[] default null,
  p_worker_ids uuid[] default null
)
returns int[]
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with wanted as materialized (
    select distinct on (w.run_id, w.step_slug, w.task_index, w.attempt) w.*
    from unnest(p_run_ids, p_step_slugs, p_task_indexes, p_attempts, p_delays) with ordinality
      as w (run_id, step_slug, task_index, attempt, delay, "position")
    order by w.run_id, w.step_slug, w.task_index, w.attempt, w."position"
  ), workers as materialized (
    select p_worker_ids as ids
  ), run as materialized (
    select r.run_id
    from pgflow.runs r
    where r.run_id in (select wanted.run_id from wanted) and r.status = 'started'
    order by r.run_id
    for update
  ), released as (
    update pgflow.step_tasks t
    set status = 'queued', started_at = null, attempts_count = t.attempts_count - 1, last_worker_id = null
    from wanted, workers
    where t.run_id = any (array(select run.run_id from run))
      and t.run_id = wanted.run_id
      and t.step_slug = wanted.step_slug
      and t.task_index = wanted.task_index
      and t.status = 'started'
      and t.attempts_count = wanted.attempt
      and (workers.ids is null or t.last_worker_id = any (workers.ids))
    returning t.flow_slug, t.message_id, wanted.delay, wanted."position"
  ), visible as materialized (
    select message.msg_id
    from released
    cross join lateral pgmq.set_vt(released.flow_slug, released.message_id, coalesce(released.delay, 0)) as message
  )
  select coalesce(array_agg(released."position"::int order by released."position"), '{}')
  from released
  where (select count(*) from visible) >= 0
$$;
comment on function pgflow.release_tasks(uuid[], text[], int[], int[], int[], uuid[]) is 'Gives back started tasks, each with the attempt it belongs to, without counting that attempt; they become visible again after p_delays seconds. With p_worker_ids, only tasks of these workers. Returns the positions, from 1, of those put back.';
