-- Reads messages and starts their tasks. Inputs are given as newer cores give them, without the input of the run.
create or replace function pgflow._read_tasks(p_flow_slug text, p_worker_id uuid, p_limit int)
returns table (
  flow_slug text, run_id uuid, step_slug text, task_index int, input jsonb, flow_input jsonb, message_id bigint
)
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with wanted as materialized (
    select p_flow_slug as flow_slug, p_worker_id as worker_id
  ), message as materialized (
    select found.msg_id
    from wanted
    join pgflow.flows f on f.flow_slug = wanted.flow_slug
    cross join lateral pgmq.read(f.flow_slug, 5, p_limit) as found
  ), task as materialized (
    select to_jsonb(started) as fields
    from wanted
    cross join lateral pgflow.start_tasks(
      wanted.flow_slug, array(select message.msg_id from message), wanted.worker_id
    ) as started
    where exists (select from message)
  )
  select
    s.flow_slug,
    (task.fields ->> 'run_id')::uuid,
    s.step_slug,
    coalesce((task.fields ->> 'task_index')::int, 0),
    case
      when s.step_type = 'single' and not task.fields ? 'flow_input' then (task.fields -> 'input') - 'run'
      else task.fields -> 'input'
    end,
    case
      when s.step_type = 'single' and s.deps_count = 0
      then coalesce(task.fields -> 'flow_input', task.fields -> 'input' -> 'run')
    end,
    (task.fields ->> 'msg_id')::bigint
  from task
  join pgflow.steps s on s.flow_slug = task.fields ->> 'flow_slug' and s.step_slug = task.fields ->> 'step_slug'
  order by 7
$$;
comment on function pgflow._read_tasks(text, uuid, int) is 'Reads up to p_limit messages of a flow and starts their tasks, whose messages come back within seconds unless pgflow._hold_tasks is called in the same transaction.';
