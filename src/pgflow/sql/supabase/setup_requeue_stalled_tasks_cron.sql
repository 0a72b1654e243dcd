create or replace function pgflow.setup_requeue_stalled_tasks_cron(cron_interval text default '15 seconds')
returns text
language plpgsql security definer
set search_path to pg_catalog, pg_temp
as $$
declare
  v_job_id bigint;
begin
  v_job_id := pgflow._schedule_cron_job(
    'pgflow_requeue_stalled_tasks', cron_interval, 'select pgflow.requeue_stalled_tasks()');
  return format('Scheduled cron job pgflow_requeue_stalled_tasks every %s (job id %s)', cron_interval, v_job_id);
end
$$;
comment on function pgflow.setup_requeue_stalled_tasks_cron(text) is 'Lets pg_cron call requeue_stalled_tasks at this schedule, instead of the one before. Without pg_cron: feature_not_supported.';
