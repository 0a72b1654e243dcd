create or replace function pgflow.get_step_progress(p_run_id uuid)
returns table (
  step_slug text,
  queued_count int,
  started_count int,
  completed_count int,
  failed_count int,
  attempts_count int,
  error_message text
)
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select
    t.step_slug,
    (count(*) filter (where t.status = 'queued'))::int,
    (count(*) filter (where t.status = 'started'))::int,
    (count(*) filter (where t.status = 'completed'))::int,
    (count(*) filter (where t.status = 'failed'))::int,
    max(t.attempts_count),
    max(t.error_message)
  from pgflow.step_tasks t
  where t.run_id = p_run_id
  group by t.step_slug
  order by t.step_slug;
$$;
comment on function pgflow.get_step_progress(uuid) is 'Counts the tasks of each step of a run that has tasks, with the highest attempt and an error among them.';
