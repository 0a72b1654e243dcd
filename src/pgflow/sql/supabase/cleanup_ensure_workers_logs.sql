create or replace function pgflow.cleanup_ensure_workers_logs(retention_hours int default 24)
returns table (cron_deleted bigint)
language plpgsql security definer
set search_path to pg_catalog, pg_temp
as $$
begin
  cron_deleted := 0;
  if to_regclass('cron.job_run_details') is not null then
    execute 'delete from cron.job_run_details where end_time < now() - make_interval(hours => $1)' using retention_hours;
    get diagnostics cron_deleted = row_count;
  end if;
  return next;
end
$$;
comment on function pgflow.cleanup_ensure_workers_logs(int) is 'Deletes pg_cron''s records of runs that ended more than so many hours ago; returns their number.';
