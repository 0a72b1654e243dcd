-- Who works: processes that poll a queue, and functions that a platform starts.

create table if not exists pgflow.workers (
  worker_id uuid not null,
  queue_name text not null,
  function_name text not null,
  started_at timestamptz not null default pgflow._now(),
  deprecated_at timestamptz,
  stopped_at timestamptz,
  last_heartbeat_at timestamptz not null default pgflow._now(),
  constraint workers_pkey primary key (worker_id)
) with (fillfactor = 80);
comment on table pgflow.workers is 'One row per worker and queue.';
comment on column pgflow.workers.worker_id is 'Chosen by the worker.';
comment on column pgflow.workers.queue_name is 'The queue that it polls: the slug of a flow.';
comment on column pgflow.workers.function_name is 'Name of the program or deployed function.';
comment on column pgflow.workers.deprecated_at is 'Set to ask the worker to finish its tasks and leave.';
comment on column pgflow.workers.stopped_at is 'Set when the worker has ended.';
comment on column pgflow.workers.last_heartbeat_at is 'When it last said that it is alive.';

create table if not exists pgflow.worker_functions (
  function_name text not null,
  enabled boolean not null default true,
  debounce interval not null default '6 seconds',
  last_invoked_at timestamptz,
  created_at timestamptz not null default pgflow._now(),
  updated_at timestamptz not null default pgflow._now(),
  constraint worker_functions_pkey primary key (function_name),
  constraint worker_functions_debounce_check check (debounce >= interval '1 second')
);
comment on table pgflow.worker_functions is 'Functions that a platform starts when nobody works their queue.';
comment on column pgflow.worker_functions.enabled is 'Whether pgflow.ensure_workers() may call it.';
comment on column pgflow.worker_functions.debounce is 'Shortest time between two calls, and how long a worker is taken for alive after a heartbeat.';
comment on column pgflow.worker_functions.last_invoked_at is 'When pgflow.ensure_workers() last called it.';
