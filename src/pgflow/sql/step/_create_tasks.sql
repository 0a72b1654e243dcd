-- Creates the tasks of started steps, each with its message, in the order of step slug and task index. Messages are
-- inserted here rather than by pgmq.send_batch, which gives a whole batch one delay and would break that order.
-- Tasks without delay are started at once for whoever demands tasks of their flow, and returned without their inputs.
create or replace function pgflow._create_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_delay int,
  p_demand pgflow._demand default null
)
returns pgflow.started_task[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_flow_slug text;
  v_worker_id uuid;
  v_created int;
  v_started pgflow.started_task[];
  v_tasks pgflow.started_task[];
begin
  for v_flow_slug in
    select distinct r.flow_slug from pgflow.runs r where r.run_id = any (p_run_ids) order by r.flow_slug
  loop
    v_worker_id := p_demand.worker_ids[array_position(p_demand.flow_slugs, v_flow_slug)];

    execute format(
      $sql$
        with sent as (
          insert into pgmq.%I (vt, read_ct, message)
          select
            clock_timestamp() + make_interval(secs => case when task.is_taken then task.timeout + 2 else task.delay end),
            task.is_taken::int,
            jsonb_build_object(
              'flow_slug', $3, 'run_id', task.run_id, 'step_slug', task.step_slug, 'task_index', task.task_index)
          from (
            select ordered.*, ordered.delay = 0 and row_number() over () <= $6 as is_taken
            from (
              select ss.run_id, ss.step_slug, task_index,
                coalesce(s.opt_start_delay, 0) + $4 as delay,
                coalesce(s.opt_timeout, f.opt_timeout) as timeout
              from unnest($1, $2) as started (run_id, step_slug)
              cross join lateral (
                select state.*
                from pgflow.step_states state
                where state.run_id = started.run_id and state.step_slug = started.step_slug and state.flow_slug = $3
                offset 0
              ) as ss
              join pgflow.steps s on s.flow_slug = $3 and s.step_slug = ss.step_slug
              join pgflow.flows f on f.flow_slug = $3
              cross join generate_series(0, ss.initial_tasks - 1) as task_index
              order by ss.step_slug, ss.run_id, task_index
            ) as ordered
          ) as task
          returning msg_id, read_ct, message
        ), created as (
          insert into pgflow.step_tasks (
            flow_slug, run_id, step_slug, task_index, message_id, status, attempts_count, started_at, last_worker_id)
          select
            $3, (message ->> 'run_id')::uuid, message ->> 'step_slug', (message ->> 'task_index')::int, msg_id,
            case read_ct when 0 then 'queued' else 'started' end,
            read_ct,
            case read_ct when 1 then pgflow._now() end,
            case read_ct when 1 then $5 end
          from sent
          returning run_id, step_slug, task_index, message_id, status
        )
        select
          count(*),
          array_agg(row(
            $3, created.run_id, created.step_slug, created.task_index, null, null, created.message_id, 1,
            coalesce(s.opt_max_attempts, f.opt_max_attempts), coalesce(s.opt_timeout, f.opt_timeout),
            coalesce(s.opt_base_delay, f.opt_base_delay)
          )::pgflow.started_task) filter (where created.status = 'started')
        from created
        join pgflow.steps s on s.flow_slug = $3 and s.step_slug = created.step_slug
        join pgflow.flows f on f.flow_slug = $3
      $sql$,
      pgmq.format_table_name(v_flow_slug, 'q')
    )
    into v_created, v_started
    using p_run_ids, p_step_slugs, v_flow_slug, p_delay::double precision, v_worker_id,
      case when v_worker_id is null then 0 else p_demand.task_limit - coalesce(cardinality(v_tasks), 0) end;

    v_tasks := v_tasks || v_started;
    if v_created > coalesce(cardinality(v_started), 0) then
      perform pgflow._notify('tasks', v_flow_slug);
    end if;
  end loop;

  return v_tasks;
end
$$;
