-- Keeps the messages of tasks away for as long as the tasks may run, which start_tasks of these cores doesn't.
-- A task that another worker has started in the same moment is left out. What changes messages is in the condition, since
-- a column that a statement around doesn't read would be left out, and the change with it.
create or replace function pgflow._hold_tasks(p_flow_slug text, p_message_ids bigint[], p_worker_id uuid)
returns table (message_id bigint, attempt int, max_attempts int, timeout int, base_delay int)
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with mine as materialized (
    select
      t.flow_slug, t.message_id, t.attempts_count,
      coalesce(s.opt_max_attempts, f.opt_max_attempts) as max_attempts,
      coalesce(s.opt_timeout, f.opt_timeout) as timeout,
      coalesce(s.opt_base_delay, f.opt_base_delay) as base_delay
    from pgflow.step_tasks t
    join pgflow.flows f on f.flow_slug = t.flow_slug
    join pgflow.steps s on s.flow_slug = t.flow_slug and s.step_slug = t.step_slug
    where t.flow_slug = p_flow_slug
      and t.message_id = any (p_message_ids)
      and t.status = 'started'
      and t.last_worker_id = p_worker_id
  ), held as materialized (
    select changed.msg_id
    from (
      select
        mine.flow_slug,
        array_agg(mine.message_id order by mine.message_id) as message_ids,
        array_agg(mine.timeout + 2 order by mine.message_id) as seconds
      from mine
      group by mine.flow_slug
    ) as batch
    cross join lateral pgflow.set_vt_batch(batch.flow_slug, batch.message_ids, batch.seconds) as changed
  )
  select mine.message_id, mine.attempts_count, mine.max_attempts, mine.timeout, mine.base_delay
  from mine
  where (select count(*) from held) >= 0
$$;
comment on function pgflow._hold_tasks(text, bigint[], uuid) is 'Keeps the messages of tasks that this worker has started away for their timeout and two seconds. Returns their attempts and options.';
