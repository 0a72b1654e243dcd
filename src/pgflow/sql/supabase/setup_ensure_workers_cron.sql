create or replace function pgflow.setup_ensure_workers_cron(cron_interval text default '1 second')
returns text
language plpgsql security definer
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._schedule_cron_job('pgflow_ensure_workers', cron_interval, 'select pgflow.ensure_workers()');
  perform pgflow._schedule_cron_job('pgflow_cleanup_logs', '0 * * * *', 'select pgflow.cleanup_ensure_workers_logs()');
  return format('Scheduled cron jobs pgflow_ensure_workers every %s and pgflow_cleanup_logs every hour', cron_interval);
end
$$;
comment on function pgflow.setup_ensure_workers_cron(text) is 'Lets pg_cron call ensure_workers at this schedule, and clean up its logs every hour, instead of the jobs before. Without pg_cron: feature_not_supported.';
