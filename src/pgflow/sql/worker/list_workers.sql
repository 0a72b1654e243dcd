-- Heartbeats follow the wall clock, so their age does too. No worker lets half a minute pass without one.
create or replace function pgflow.list_workers(
  p_queue_names text[] default null,
  p_with_stopped boolean default false,
  p_limit int default 50
)
returns table (
  worker_id uuid,
  queue_name text,
  function_name text,
  status text,
  started_at timestamptz,
  last_heartbeat_at timestamptz,
  deprecated_at timestamptz,
  stopped_at timestamptz
)
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select
    w.worker_id,
    w.queue_name,
    w.function_name,
    case
      when w.stopped_at is not null then 'stopped'
      when w.last_heartbeat_at < clock_timestamp() - interval '30 seconds' then 'stale'
      when w.deprecated_at is not null then 'deprecated'
      else 'alive'
    end,
    w.started_at,
    w.last_heartbeat_at,
    w.deprecated_at,
    w.stopped_at
  from pgflow.workers w
  where (p_queue_names is null or w.queue_name = any (p_queue_names))
    and (p_with_stopped or w.stopped_at is null)
  order by w.stopped_at is not null, w.last_heartbeat_at desc, w.worker_id
  limit p_limit;
$$;
comment on function pgflow.list_workers(text[], boolean, int) is 'Workers of these queues (NULL: all), last heard of first, those that have stopped last or not at all, p_limit of them (NULL: all). Their status is alive, deprecated (finishes its tasks and leaves), stale (not heard of for 30 seconds) or stopped.';
