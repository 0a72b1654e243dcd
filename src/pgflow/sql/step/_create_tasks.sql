-- Tells of the start of steps and creates their tasks, each with its message, in the order of step slug and task index. Messages are
-- inserted here rather than by pgmq.send_batch, which gives a whole batch one delay. Only that insert is planned anew each
-- time, because it names the queue, so it does as little as can be.
-- Tasks without delay are started at once for whoever demands tasks of their flow, and returned without their inputs.
create or replace function pgflow._create_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_delay int default 0,
  p_demand pgflow._demand default null
)
returns pgflow.started_task[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_flow_slug text;
  v_worker_id uuid;
  v_room int;
  v_new record;
  v_message_ids bigint[];
  v_started pgflow.started_task[];
  v_tasks pgflow.started_task[];
begin
  perform pgflow._emit_events('step:started', p_run_ids, p_step_slugs);

  for v_flow_slug in
    select distinct r.flow_slug
    from (select distinct run_id from unnest(p_run_ids) as run_id limit cardinality(p_run_ids)) as started
    cross join lateral (select run.flow_slug from pgflow.runs run where run.run_id = started.run_id offset 0) as r
    order by r.flow_slug
  loop
    v_worker_id := p_demand.worker_ids[array_position(p_demand.flow_slugs, v_flow_slug)];
    v_room := case when v_worker_id is null then 0 else p_demand.task_limit - coalesce(cardinality(v_tasks), 0) end;

    select
      array_agg(numbered.run_id) as run_ids,
      array_agg(numbered.step_slug) as step_slugs,
      array_agg(numbered.task_index) as task_indexes,
      array_agg(numbered.is_taken) as are_taken,
      array_agg(case when numbered.is_taken then numbered.timeout::bigint + 2 else numbered.delay end) as delays,
      array_agg(jsonb_build_object(
        'flow_slug', v_flow_slug, 'run_id', numbered.run_id,
        'step_slug', numbered.step_slug, 'task_index', numbered.task_index)) as messages
    into v_new
    from (
      select ordered.*, ordered.delay = 0 and row_number() over () <= v_room as is_taken
      from (
        select ss.run_id, ss.step_slug, task_index,
          coalesce(s.opt_start_delay, 0)::bigint + p_delay as delay,
          coalesce(s.opt_timeout, f.opt_timeout) as timeout
        from (
          select * from unnest(p_run_ids, p_step_slugs) as started (run_id, step_slug) limit cardinality(p_run_ids)
        ) as started
        cross join lateral (
          select state.run_id, state.step_slug, state.initial_tasks
          from pgflow.step_states state
          where state.run_id = started.run_id
            and state.step_slug = started.step_slug
            and state.flow_slug = v_flow_slug
          offset 0
        ) as ss
        join pgflow.steps s on s.flow_slug = v_flow_slug and s.step_slug = ss.step_slug
        join pgflow.flows f on f.flow_slug = v_flow_slug
        cross join generate_series(0, ss.initial_tasks - 1) as task_index
        order by ss.step_slug, ss.run_id, task_index
      ) as ordered
    ) as numbered;

    -- Ids are given in the order of the arrays, so that the i-th message is the i-th task's.
    execute format(
      $sql$
        with sent as (
          insert into pgmq.%I (vt, read_ct, message)
          select clock_timestamp() + make_interval(secs => delay), is_taken::int, message
          from unnest($1, $2, $3) as task (delay, is_taken, message)
          returning msg_id
        )
        select array_agg(msg_id order by msg_id) from sent
      $sql$,
      pgmq.format_table_name(v_flow_slug, 'q')
    ) into v_message_ids using v_new.delays, v_new.are_taken, v_new.messages;

    with created as (
      insert into pgflow.step_tasks (
        flow_slug, run_id, step_slug, task_index, message_id, status, attempts_count, started_at, last_worker_id)
      select
        v_flow_slug, task.run_id, task.step_slug, task.task_index, task.message_id,
        case when task.is_taken then 'started' else 'queued' end,
        task.is_taken::int,
        case when task.is_taken then pgflow._now() end,
        case when task.is_taken then v_worker_id end
      from unnest(v_new.run_ids, v_new.step_slugs, v_new.task_indexes, v_new.are_taken, v_message_ids)
        as task (run_id, step_slug, task_index, is_taken, message_id)
      returning run_id, step_slug, task_index, message_id, status
    )
    select array_agg(row(
      v_flow_slug, created.run_id, created.step_slug, created.task_index, null, null, created.message_id, 1,
      coalesce(s.opt_max_attempts, f.opt_max_attempts), coalesce(s.opt_timeout, f.opt_timeout),
      coalesce(s.opt_base_delay, f.opt_base_delay), 0
    )::pgflow.started_task order by created.message_id)
    into v_started
    from created
    join pgflow.steps s on s.flow_slug = v_flow_slug and s.step_slug = created.step_slug
    join pgflow.flows f on f.flow_slug = v_flow_slug
    where created.status = 'started';

    v_tasks := v_tasks || v_started;
    if cardinality(v_message_ids) > coalesce(cardinality(v_started), 0) then
      perform pgflow._notify('tasks', v_flow_slug);
    end if;
  end loop;

  return v_tasks;
end
$$;
