-- Finds what _prune would delete where it spares workers that are alive, and locks nothing.
create or replace function pgflow.count_data_older_than(
  p_retention_interval interval,
  p_flow_slugs text[] default null,
  out run_count int,
  out step_state_count int,
  out step_task_count int,
  out worker_count int,
  out message_count int
)
language plpgsql stable
set search_path to pg_catalog, pg_temp
set jit to off
as $$
declare
  v_cutoff timestamptz := pgflow._now() - p_retention_interval;
  v_run_ids uuid[];
  v_flow_slug text;
  v_queue text;
  v_count int;
begin
  v_run_ids := array(
    select r.run_id
    from pgflow.runs r
    where (r.completed_at < v_cutoff or r.failed_at < v_cutoff)
      and (p_flow_slugs is null or r.flow_slug = any (p_flow_slugs))
  );
  run_count := cardinality(v_run_ids);
  select count(*)::int into step_state_count from pgflow.step_states ss where ss.run_id = any (v_run_ids);
  select count(*)::int into step_task_count from pgflow.step_tasks t where t.run_id = any (v_run_ids);
  select count(*)::int into worker_count
  from pgflow.workers w
  where w.last_heartbeat_at < v_cutoff
    and (w.stopped_at is not null or w.last_heartbeat_at < pgflow._now() - interval '30 seconds')
    and (p_flow_slugs is null or w.queue_name = any (p_flow_slugs));

  message_count := 0;
  for v_flow_slug in
    select f.flow_slug from pgflow.flows f where p_flow_slugs is null or f.flow_slug = any (p_flow_slugs)
  loop
    v_queue := pgmq.format_table_name(v_flow_slug, 'q');
    if to_regclass('pgmq.' || quote_ident(v_queue)) is not null then
      execute format(
        'select count(*)::int from pgmq.%I q join pgflow.step_tasks t on t.flow_slug = $1 and t.message_id = q.msg_id'
        ' where t.run_id = any ($2)', v_queue
      ) into v_count using v_flow_slug, v_run_ids;
      message_count := message_count + v_count;
    end if;
    v_queue := pgmq.format_table_name(v_flow_slug, 'a');
    if to_regclass('pgmq.' || quote_ident(v_queue)) is not null then
      execute format('select count(*)::int from pgmq.%I where archived_at < $1', v_queue) into v_count using v_cutoff;
      message_count := message_count + v_count;
    end if;
  end loop;
end
$$;
comment on function pgflow.count_data_older_than(interval, text[]) is 'Counts what prune_data_older_than would delete for these flows (NULL: all): runs that ended longer ago than the interval, with their steps, tasks and messages, archived messages and workers of that age.';
