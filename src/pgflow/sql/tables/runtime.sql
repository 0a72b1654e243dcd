-- What happens: runs of flows, the state of each step in a run, and the tasks of each step.
-- References that another reference of the row implies are left out: each is checked row by row (benchmarks/foreign_keys.py).
-- Half of each page is left for the versions of its rows that follow soon: nearly all updates then stay on their page and
-- don't touch an index, and the tables get no larger, since index entries weigh as much.
-- By default a table of a million rows would gather 200,000 dead ones before it is vacuumed.
-- A row is changed by functions only. Status and timestamps obey the constraints below, which are the state machines.

create table if not exists pgflow.runs (
  run_id uuid not null default gen_random_uuid(),
  flow_slug text not null,
  status text not null default 'started',
  input jsonb not null,
  output jsonb,
  remaining_steps int not null default 0,
  started_at timestamptz not null default pgflow._now(),
  completed_at timestamptz,
  failed_at timestamptz,
  constraint runs_pkey primary key (run_id),
  constraint runs_flow_slug_fkey foreign key (flow_slug) references pgflow.flows,
  constraint status_is_valid check (status in ('started', 'completed', 'failed')),
  constraint runs_remaining_steps_check check (remaining_steps >= 0),
  constraint completed_at_or_failed_at check (num_nonnulls(completed_at, failed_at) <= 1),
  constraint completed_at_is_after_started_at check (completed_at >= started_at),
  constraint failed_at_is_after_started_at check (failed_at >= started_at)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
comment on table pgflow.runs is 'One row per execution of a flow.';
comment on column pgflow.runs.input is 'Any JSON value; an array where a root step is a map.';
comment on column pgflow.runs.output is 'Once completed: an object with the output of each completed leaf step by slug; NULL if there is none.';
comment on column pgflow.runs.remaining_steps is 'Steps neither completed nor skipped.';

-- Recovery looks at runs that go on, however many have ended; listings read the newest of each flow and status.
-- The condition always holds, but a search by the id of a run doesn't imply it: while the table is taken for empty, the
-- check of a reference to a run would otherwise read this index from end to end.
create index if not exists runs_by_flow on pgflow.runs (flow_slug, status, started_at, run_id) where flow_slug is not null;

create table if not exists pgflow.step_states (
  flow_slug text not null,
  run_id uuid not null,
  step_slug text not null,
  status text not null default 'created',
  remaining_tasks int,
  initial_tasks int,
  remaining_deps int not null default 0,
  output jsonb,
  error_message text,
  skip_reason text,
  created_at timestamptz not null default pgflow._now(),
  started_at timestamptz,
  completed_at timestamptz,
  failed_at timestamptz,
  skipped_at timestamptz,
  constraint step_states_pkey primary key (run_id, step_slug),
  constraint step_states_run_id_fkey foreign key (run_id) references pgflow.runs,
  constraint step_states_flow_slug_step_slug_fkey foreign key (flow_slug, step_slug) references pgflow.steps,
  constraint status_is_valid check (status in ('created', 'started', 'completed', 'failed', 'skipped')),
  constraint step_states_initial_tasks_check check (initial_tasks >= 0),
  constraint step_states_remaining_deps_check check (remaining_deps >= 0),
  constraint status_and_remaining_tasks_match check (status <> 'completed' or remaining_tasks = 0),
  constraint remaining_tasks_state_consistency check (remaining_tasks is null or status not in ('created', 'skipped')),
  constraint initial_tasks_known_when_started check (status <> 'started' or initial_tasks is not null),
  constraint output_only_for_completed_or_null check (output is null or status = 'completed'),
  constraint skip_reason_matches_status check ((status = 'skipped') = (skip_reason is not null)),
  constraint completed_at_or_failed_at_or_skipped_at check (num_nonnulls(completed_at, failed_at, skipped_at) <= 1),
  constraint started_at_is_after_created_at check (started_at >= created_at),
  constraint completed_at_is_after_started_at check (completed_at >= started_at),
  constraint failed_at_is_after_started_at check (failed_at >= started_at),
  constraint skipped_at_is_after_created_at check (skipped_at >= created_at)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
comment on table pgflow.step_states is 'One row per step and run.';
comment on column pgflow.step_states.status is 'created: waits for its parents. started: has tasks to do.';
comment on column pgflow.step_states.remaining_tasks is 'Tasks not yet completed; NULL before the start and after a skip.';
comment on column pgflow.step_states.initial_tasks is 'Tasks the step gets; NULL while a map waits for its parent.';
comment on column pgflow.step_states.remaining_deps is 'Parents neither completed nor plainly skipped.';
comment on column pgflow.step_states.output is 'Once completed: the output of its task; for a map the array of its tasks'' outputs, in their order.';
comment on column pgflow.step_states.error_message is 'Why it failed, or why it was skipped after a failure.';
comment on column pgflow.step_states.skip_reason is 'condition_unmet, handler_failed or dependency_skipped.';

create table if not exists pgflow.step_tasks (
  flow_slug text not null,
  run_id uuid not null,
  step_slug text not null,
  message_id bigint,
  task_index int not null default 0,
  status text not null default 'queued',
  attempts_count int not null default 0,
  error_message text,
  output jsonb,
  queued_at timestamptz not null default pgflow._now(),
  started_at timestamptz,
  completed_at timestamptz,
  failed_at timestamptz,
  last_worker_id uuid,
  requeued_count int not null default 0,
  last_requeued_at timestamptz,
  permanently_stalled_at timestamptz,
  attempts_before_retry int not null default 0,
  constraint step_tasks_pkey primary key (run_id, step_slug, task_index),
  constraint step_tasks_run_id_step_slug_fkey foreign key (run_id, step_slug) references pgflow.step_states,
  constraint step_tasks_last_worker_id_fkey foreign key (last_worker_id) references pgflow.workers on delete set null,
  constraint valid_status check (status in ('queued', 'started', 'completed', 'failed')),
  constraint attempts_count_nonnegative check (attempts_count >= 0),
  constraint earlier_attempts_were_made check (attempts_before_retry between 0 and attempts_count),
  constraint output_valid_only_for_completed check (output is null or status in ('completed', 'failed')),
  constraint completed_at_or_failed_at check (num_nonnulls(completed_at, failed_at) <= 1),
  constraint completed_at_is_after_queued_at check (completed_at >= queued_at),
  constraint failed_at_is_after_queued_at check (failed_at >= queued_at),
  constraint started_at_is_after_queued_at check (started_at >= queued_at),
  constraint completed_at_is_after_started_at check (completed_at >= started_at),
  constraint failed_at_is_after_started_at check (failed_at >= started_at)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
comment on table pgflow.step_tasks is 'One row per unit of work: one for a single step, one per array element for a map.';
comment on column pgflow.step_tasks.message_id is 'Message in the queue of the flow; ids repeat across flows.';
comment on column pgflow.step_tasks.task_index is 'Position in the array of a map, from 0; 0 for a single step.';
comment on column pgflow.step_tasks.status is 'queued: waits for a worker, maybe for its next attempt.';
comment on column pgflow.step_tasks.attempts_count is 'How often the task was started; the attempt that a report must name.';
comment on column pgflow.step_tasks.error_message is 'The last error, which is kept when the task is retried.';
comment on column pgflow.step_tasks.output is 'What the worker reported.';
comment on column pgflow.step_tasks.queued_at is 'When the task was created; retries don''t change it.';
comment on column pgflow.step_tasks.started_at is 'When the current attempt began.';
comment on column pgflow.step_tasks.last_worker_id is 'Who started it last; NULL once that worker''s row is deleted.';
comment on column pgflow.step_tasks.requeued_count is 'How often recovery has put it back.';
comment on column pgflow.step_tasks.last_requeued_at is 'When recovery last put it back.';
comment on column pgflow.step_tasks.permanently_stalled_at is 'When recovery gave it up; it stays started until pgflow.fail_stalled_tasks() ends it.';
comment on column pgflow.step_tasks.attempts_before_retry is 'Attempts made before its run was last retried: their numbers aren''t given again, and they don''t count against max_attempts.';

-- From a message that was read to its task.
create index if not exists step_tasks_by_message on pgflow.step_tasks (flow_slug, message_id);
