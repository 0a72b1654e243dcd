create or replace function pgflow.describe_run(p_run pgflow.runs)
returns jsonb
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select to_jsonb(p_run) || coalesce(
    (
      select jsonb_build_object('cancelled_at', c.cancelled_at, 'cancel_reason', c.reason)
      from pgflow.run_cancellations c
      where p_run.status = 'failed' and c.run_id = p_run.run_id
    ),
    '{}'
  );
$$;
comment on function pgflow.describe_run(pgflow.runs) is 'A run as JSON: its columns, and, if it was cancelled, cancelled_at and cancel_reason.';
