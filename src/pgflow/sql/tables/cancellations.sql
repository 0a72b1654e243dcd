-- Which failed runs were cancelled: the contract has no status of its own for them.
-- The only reference that deletes: whoever deletes a run need not know of this table.

create table if not exists pgflow.run_cancellations (
  run_id uuid not null,
  reason text,
  cancelled_at timestamptz not null default pgflow._now(),
  constraint run_cancellations_pkey primary key (run_id),
  constraint run_cancellations_run_id_fkey foreign key (run_id) references pgflow.runs on delete cascade,
  constraint run_cancellations_reason_check check (length(reason) between 1 and 10000)
);
comment on table pgflow.run_cancellations is 'One row per run that was cancelled and has not been retried since; its status is failed.';
comment on column pgflow.run_cancellations.reason is 'Why, in the words of whoever cancelled it.';
comment on column pgflow.run_cancellations.cancelled_at is 'When it was cancelled: when it failed, too.';
