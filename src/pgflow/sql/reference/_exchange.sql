-- The loop of a worker in one round trip. Each of its statements sees what the one before has changed.
create or replace function pgflow._exchange(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[],
  p_outputs jsonb[],
  p_error_messages text[],
  p_final boolean[],
  p_retry_delays int[],
  p_flow_slugs text[],
  p_worker_ids uuid[],
  p_limit int,
  p_batch int
)
returns table (
  recorded int[],
  ended_runs jsonb,
  flow_slug text,
  run_id uuid,
  step_slug text,
  task_index int,
  input text,
  flow_input text,
  message_id bigint,
  attempt int,
  max_attempts int,
  timeout int,
  base_delay int
)
language plpgsql security definer
set search_path to pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_going_on uuid[];
  v_room int := p_limit;
  v_count int;
begin
  if cardinality(p_run_ids) > 0 then
    select reported.recorded, reported.going_on into recorded, v_going_on
    from pgflow._report_tasks(
      p_run_ids, p_step_slugs, p_task_indexes, p_attempts, p_outputs, p_error_messages, p_final, p_retry_delays
    ) as reported;
    select jsonb_agg(to_jsonb(ended)) into ended_runs from pgflow._ended_runs(v_going_on) as ended;
    return next;
    recorded := null;
    ended_runs := null;
  end if;

  for v_flow in 1..coalesce(cardinality(p_flow_slugs), 0) loop
    exit when v_room <= 0;
    return query
      with started as materialized (
        select task.* from pgflow._read_tasks(p_flow_slugs[v_flow], p_worker_ids[v_flow], least(v_room, p_batch)) as task
      ), held as materialized (
        select kept.*
        from pgflow._hold_tasks(
          p_flow_slugs[v_flow], array(select started.message_id from started), p_worker_ids[v_flow]
        ) as kept
      )
      select
        null::int[], null::jsonb, started.flow_slug, started.run_id, started.step_slug, started.task_index,
        started.input::text, started.flow_input::text, started.message_id,
        held.attempt, held.max_attempts, held.timeout, held.base_delay
      from started
      join held on held.message_id = started.message_id
      order by started.message_id;
    get diagnostics v_count = row_count;
    v_room := v_room - v_count;
  end loop;
end
$$;
comment on function pgflow._exchange(uuid[], text[], int[], int[], jsonb[], text[], boolean[], int[], text[], uuid[], int, int) is 'Reports outcomes and gets up to p_limit tasks of some flows, at most p_batch of each, in one transaction. The first row says which reports counted and which runs they ended, if there were reports; the others are tasks.';
