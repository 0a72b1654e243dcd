create or replace function pgflow.poll_for_tasks(
  queue_name text,
  vt int,
  qty int,
  max_poll_seconds int default 5,
  poll_interval_ms int default 100
)
returns setof pgflow.step_task_record
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  -- Its parameters are the contract's; nobody may leave out a call of it, since it tells its caller something.
  -- @plpgsql_check_options: extra_warnings = off, performance_warnings = off
  raise notice 'DEPRECATED: poll_for_tasks is deprecated; read messages with pgmq and start their tasks with pgflow.start_tasks';
end
$$;
comment on function pgflow.poll_for_tasks(text, int, int, int, int) is 'Deprecated; returns nothing. Read messages with pgmq and pass their ids to start_tasks.';
