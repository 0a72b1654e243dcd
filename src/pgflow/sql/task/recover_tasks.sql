create or replace function pgflow.recover_tasks(
  p_limit int default 1000,
  out requeued_count int,
  out failed_count int
)
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set lock_timeout to '5s'
as $$
begin
  requeued_count := 0;
  failed_count := 0;

  -- Every worker asks for it; one at a time does it.
  if not pg_try_advisory_xact_lock(2, 1) then
    return;
  end if;

  -- First what waits for runs, since others who hold a run wait for its tasks. What is given up here fails the next time.
  failed_count := pgflow.fail_stalled_tasks();
  select stalled.requeued_count into requeued_count
  from pgflow._requeue_stalled(interval '30 seconds', p_limit) as stalled;
  delete from pgflow.listeners where expires_at < clock_timestamp() - interval '1 minute';
end
$$;
comment on function pgflow.recover_tasks(int) is 'Does what requeue_stalled_tasks and fail_stalled_tasks do, with at most p_limit tasks, and forgets listeners that are gone; does nothing while somebody else is at it. Returns how many tasks it has put back and how many it has failed.';
