-- Puts started tasks back into their queues without counting their attempt, under the locks of runs and tasks. The arrays
-- run parallel. An attempt number is given again after a release, so the worker is compared too (p_worker_ids; NULL: any):
-- a release that is sent twice must not take the task away from its next worker.
-- Returns the positions, from 1, of the tasks that were put back.
create or replace function pgflow._record_releases(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[],
  p_delays int[],
  p_worker_ids uuid[]
)
returns int[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_positions int[];
  v_flow_slugs text[];
  v_message_ids bigint[];
  v_delays int[];
begin
  with released as (
    update pgflow.step_tasks t
    set status = 'queued',
        attempts_count = t.attempts_count - 1,
        started_at = null,
        last_worker_id = null
    from (
      select *
      from unnest(p_run_ids, p_step_slugs, p_task_indexes, p_attempts, p_delays) with ordinality
        as report (run_id, step_slug, task_index, attempt, delay, "position")
      limit cardinality(p_run_ids)
    ) as report
    cross join lateral (
      select task.ctid as row_id
      from pgflow.runs r, pgflow.step_states ss, pgflow.step_tasks task
      where r.run_id = report.run_id
        and r.status = 'started'
        and ss.run_id = report.run_id
        and ss.step_slug = report.step_slug
        and ss.status = 'started'
        and task.run_id = report.run_id
        and task.step_slug = report.step_slug
        and task.task_index = report.task_index
        and task.status = 'started'
        and task.permanently_stalled_at is null
        and task.attempts_count = coalesce(report.attempt, task.attempts_count)
        and (p_worker_ids is null or task.last_worker_id = any (p_worker_ids))
      offset 0
    ) as found
    where t.ctid = found.row_id
    returning report."position"::int, t.flow_slug, t.message_id, greatest(coalesce(report.delay, 0), 0) as delay
  )
  select array_agg("position"), array_agg(flow_slug), array_agg(message_id), array_agg(delay)
  into v_positions, v_flow_slugs, v_message_ids, v_delays
  from released;

  if v_positions is null then
    return '{}'::int[];
  end if;

  perform pgflow._set_visibility(v_flow_slugs, v_message_ids, v_delays);
  perform pgflow._notify('tasks', flow_slug) from unnest(pgflow._distinct_texts(v_flow_slugs)) as flow_slug;
  return v_positions;
end
$$;
