create or replace function pgflow._lost_tasks(
  p_worker_ids uuid[],
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[]
)
returns table (run_id uuid, step_slug text, task_index int, attempt int)
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with known as materialized (
    select k.*
    from unnest(p_run_ids, p_step_slugs, p_task_indexes, p_attempts) as k (run_id, step_slug, task_index, attempt)
  )
  select t.run_id, t.step_slug, t.task_index, t.attempts_count
  from pgflow.step_tasks t
  join pgflow.runs r on r.run_id = t.run_id
  where t.last_worker_id = any (p_worker_ids)
    and t.status = 'started'
    and r.status = 'started'
    and not exists (
      select
      from known
      where known.run_id = t.run_id
        and known.step_slug = t.step_slug
        and known.task_index = t.task_index
        and known.attempt = t.attempts_count
    )
$$;
comment on function pgflow._lost_tasks(uuid[], uuid[], text[], int[], int[]) is 'The tasks that these workers have started except those named, each with its attempt.';
