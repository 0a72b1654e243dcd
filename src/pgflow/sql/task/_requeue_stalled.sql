-- Puts stalled tasks back into their queues, at most three times each; after that marks them as permanently stalled. A
-- task has stalled when it has been started for longer than its timeout and p_buffer. Tasks that somebody has locked are
-- left alone, and so are those beyond p_limit. Returns how many were put back, and into how many queues.
create or replace function pgflow._requeue_stalled(
  p_buffer interval,
  p_limit int default null,
  out requeued_count int,
  out queue_count int
)
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_flow_slugs text[];
  v_message_ids bigint[];
  v_given_up_flow_slugs text[];
  v_given_up_message_ids bigint[];
begin
  with stalled as (
    select task.row_id
    from pgflow.flows f
    cross join lateral (
      select r.run_id from pgflow.runs r where r.flow_slug = f.flow_slug and r.status = 'started' offset 0
    ) as going_on
    cross join lateral (
      select t.ctid as row_id
      from pgflow.step_tasks t
      where t.run_id = going_on.run_id
        and t.status = 'started'
        and t.permanently_stalled_at is null
        and t.started_at < pgflow._now() - p_buffer - make_interval(secs => (
          select coalesce(s.opt_timeout, f.opt_timeout)
          from pgflow.steps s
          where s.flow_slug = t.flow_slug and s.step_slug = t.step_slug
        ))
      order by t.step_slug, t.task_index
      offset 0
      for no key update skip locked
    ) as task
    limit p_limit
  ), changed as (
    update pgflow.step_tasks t
    set status = case when t.requeued_count < 3 then 'queued' else t.status end,
        started_at = case when t.requeued_count < 3 then null else t.started_at end,
        last_worker_id = case when t.requeued_count < 3 then null else t.last_worker_id end,
        last_requeued_at = case when t.requeued_count < 3 then pgflow._now() else t.last_requeued_at end,
        permanently_stalled_at = case when t.requeued_count < 3 then null else pgflow._now() end,
        requeued_count = t.requeued_count + case when t.requeued_count < 3 then 1 else 0 end
    from stalled
    where t.ctid = stalled.row_id
    returning t.flow_slug, t.message_id, t.status
  )
  select
    array_agg(flow_slug) filter (where status = 'queued'),
    array_agg(message_id) filter (where status = 'queued'),
    array_agg(flow_slug) filter (where status = 'started'),
    array_agg(message_id) filter (where status = 'started')
  into v_flow_slugs, v_message_ids, v_given_up_flow_slugs, v_given_up_message_ids
  from changed;

  perform pgflow._set_visibility(
    v_flow_slugs, v_message_ids, array_fill(0, array[coalesce(cardinality(v_message_ids), 0)]));
  perform pgflow._notify('tasks', slug) from unnest(pgflow._distinct_texts(v_flow_slugs)) as slug;
  perform pgflow._archive_messages(v_given_up_flow_slugs, v_given_up_message_ids);

  requeued_count := coalesce(cardinality(v_message_ids), 0);
  queue_count := cardinality(pgflow._distinct_texts(v_flow_slugs));
end
$$;
