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
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select
    w.worker_id, w.queue_name, w.function_name,
    case
      when w.last_heartbeat_at < now() - interval '30 seconds' then case
        when w.deprecated_at is null then 'stale' else 'stopped'
      end
      when w.deprecated_at is not null then 'deprecated'
      else 'alive'
    end,
    w.started_at, w.last_heartbeat_at, w.deprecated_at, null::timestamptz
  from pgflow.workers w
  where (p_queue_names is null or w.queue_name = any (p_queue_names))
    and (p_with_stopped or w.deprecated_at is null or w.last_heartbeat_at >= now() - interval '30 seconds')
  order by w.last_heartbeat_at desc, w.worker_id
  limit p_limit
$$;
comment on function pgflow.list_workers(text[], boolean, int) is 'Workers, last heard of first. These cores don''t tell when one has ended.';
