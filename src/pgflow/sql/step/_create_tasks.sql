-- Creates the tasks of started steps, each with its message, in the order of step slug and task index. Messages are
-- inserted here rather than by pgmq.send_batch, which gives a whole batch one delay and would break that order.
create or replace function pgflow._create_tasks(p_run_ids uuid[], p_step_slugs text[], p_delay int)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_flow_slug text;
begin
  for v_flow_slug in
    select distinct r.flow_slug from pgflow.runs r where r.run_id = any (p_run_ids) order by r.flow_slug
  loop
    execute format(
      $sql$
        with sent as (
          insert into pgmq.%I (vt, message)
          select
            clock_timestamp() + make_interval(secs => coalesce(s.opt_start_delay, 0) + $4),
            jsonb_build_object(
              'flow_slug', ss.flow_slug, 'run_id', ss.run_id, 'step_slug', ss.step_slug, 'task_index', task_index)
          from unnest($1, $2) as started (run_id, step_slug)
          cross join lateral (
            select state.*
            from pgflow.step_states state
            where state.run_id = started.run_id and state.step_slug = started.step_slug and state.flow_slug = $3
            offset 0
          ) as ss
          join pgflow.steps s on s.flow_slug = ss.flow_slug and s.step_slug = ss.step_slug
          cross join generate_series(0, ss.initial_tasks - 1) as task_index
          order by ss.step_slug, ss.run_id, task_index
          returning msg_id, message
        )
        insert into pgflow.step_tasks (flow_slug, run_id, step_slug, task_index, message_id)
        select $3, (message ->> 'run_id')::uuid, message ->> 'step_slug', (message ->> 'task_index')::int, msg_id
        from sent
      $sql$,
      pgmq.format_table_name(v_flow_slug, 'q')
    ) using p_run_ids, p_step_slugs, v_flow_slug, p_delay::double precision;
    perform pgflow._notify('tasks', v_flow_slug);
  end loop;
end
$$;
