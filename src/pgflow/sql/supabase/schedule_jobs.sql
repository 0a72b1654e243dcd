-- Where pg_cron is, it does what workers do elsewhere.
do $$
begin
  if to_regclass('cron.job') is not null then
    perform pgflow.setup_requeue_stalled_tasks_cron();
    perform pgflow.setup_ensure_workers_cron();
  end if;
end
$$;
