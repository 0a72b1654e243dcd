-- Who wants to be told of changes: NOTIFY takes a lock that all commits wait for, so nobody pays for it unasked.

create table if not exists pgflow.listeners (
  listener_id uuid not null,
  topic text not null,
  expires_at timestamptz not null,
  constraint listeners_pkey primary key (listener_id, topic),
  constraint listeners_topic_is_valid check (topic in ('runs', 'tasks'))
) with (fillfactor = 50);
comment on table pgflow.listeners is 'One row per session and topic it listens to; it counts until it expires.';
comment on column pgflow.listeners.listener_id is 'Chosen by the session.';
comment on column pgflow.listeners.topic is 'runs: channel pgflow_runs, sent when runs or their steps change, with the first 8 hexadecimal digits of the SHA-256 of each run id, comma between them, or nothing when they are too many or all of a flow. tasks: channel pgflow_tasks, sent with the slug of a flow that got tasks.';
comment on column pgflow.listeners.expires_at is 'Until when the registration counts.';
