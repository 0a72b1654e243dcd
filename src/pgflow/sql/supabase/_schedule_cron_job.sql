-- Replaces the cron job of this name; returns its id.
create or replace function pgflow._schedule_cron_job(p_name text, p_schedule text, p_command text)
returns bigint
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_exists boolean;
  v_job_id bigint;
begin
  if to_regclass('cron.job') is null then
    raise exception 'pg_cron is not installed in this database'
      using errcode = 'feature_not_supported',
            hint = 'Install pg_cron, or let a worker do this.';
  end if;

  execute 'select exists (select from cron.job where jobname = $1)' into v_exists using p_name;
  if v_exists then
    execute 'select cron.unschedule($1)' using p_name;
  end if;
  execute 'select cron.schedule($1, $2, $3)' into v_job_id using p_name, p_schedule, p_command;
  return v_job_id;
end
$$;
