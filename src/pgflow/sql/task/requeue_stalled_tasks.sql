create or replace function pgflow.requeue_stalled_tasks()
returns int
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select requeued_count from pgflow._requeue_stalled(interval '30 seconds');
$$;
comment on function pgflow.requeue_stalled_tasks() is 'Puts tasks back into the queue that have been started for longer than their timeout and 30 seconds, at most three times each; after that marks them as permanently stalled. Returns the number put back.';
