-- Deletes workers that were last heard of before p_cutoff, of some queues (NULL: all), at most p_limit. With p_spares_alive
-- those that have not stopped and were heard of within half a minute stay, however young p_cutoff is. The foreign key
-- takes the others off their tasks. Nobody is waited for: a worker is left for the next time while somebody holds it, because
-- it is back, or one of its tasks, whose holder may want another one. Returns their number.
create or replace function pgflow._delete_workers(
  p_cutoff timestamptz,
  p_queue_names text[],
  p_limit int,
  p_spares_alive boolean
)
returns int
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_worker_ids uuid[];
  v_deleted int;
begin
  v_worker_ids := array(
    select w.worker_id
    from pgflow.workers w
    where w.last_heartbeat_at < p_cutoff
      and (not p_spares_alive or w.stopped_at is not null or w.last_heartbeat_at < pgflow._now() - interval '30 seconds')
      and (p_queue_names is null or w.queue_name = any (p_queue_names))
    order by w.worker_id
    limit p_limit
    for update skip locked
  );
  if v_worker_ids = '{}' then
    return 0;
  end if;

  with locked as (
    select t.run_id, t.step_slug, t.task_index
    from pgflow.step_tasks t
    where t.last_worker_id = any (v_worker_ids)
    for no key update skip locked
  ), busy as (
    select t.last_worker_id as worker_id
    from pgflow.step_tasks t
    left join locked using (run_id, step_slug, task_index)
    where t.last_worker_id = any (v_worker_ids) and locked.run_id is null
  )
  delete from pgflow.workers w
  where w.worker_id = any (v_worker_ids) and w.worker_id not in (select busy.worker_id from busy);
  get diagnostics v_deleted = row_count;
  return v_deleted;
end
$$;
