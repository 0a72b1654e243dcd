create or replace function pgflow.recover_stalled_tasks(
  p_threshold double precision,
  out recovered_count int,
  out vt_batches int
)
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select requeued_count, queue_count from pgflow._requeue_stalled(make_interval(secs => p_threshold));
$$;
comment on function pgflow.recover_stalled_tasks(double precision) is 'Does what requeue_stalled_tasks does, with p_threshold seconds past the timeout of each task; returns how many tasks were put back, and into how many queues.';
