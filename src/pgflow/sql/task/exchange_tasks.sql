create or replace function pgflow.exchange_tasks(
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
  p_since timestamptz[] default null,
  out recorded int[],
  out tasks pgflow.started_task[],
  out ended_runs pgflow.ended_run[],
  out skipped_steps jsonb,
  out pause double precision,
  out read_until timestamptz[]
)
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_reported record;
  v_done record;
  v_taken record;
  v_limit int := greatest(coalesce(p_limit, 0), 0);
  v_room int;
  v_next_at timestamptz;
begin
  recorded := '{}';
  if cardinality(p_run_ids) > 0 then
    perform set_config('pgflow.skipped_steps', '[]', true);
    select * into v_reported from pgflow._lock_reported(p_run_ids, p_step_slugs, p_task_indexes);
    select * into v_done
    from pgflow._record_reports(
      p_run_ids, p_step_slugs, p_task_indexes, p_attempts, p_outputs, p_error_messages, p_final, p_retry_delays,
      v_reported.row_ids, v_reported.flow_slugs);
    recorded := v_done.recorded;
    ended_runs := v_done.ended_runs;

    tasks := pgflow._advance_runs(
      v_done.run_ids,
      p_demand => row(p_flow_slugs, p_worker_ids, v_limit)::pgflow._demand,
      p_started_run_ids => v_done.started_run_ids,
      p_started_step_slugs => v_done.started_step_slugs);
    if tasks is not null then
      tasks := array(select task from pgflow._fill_inputs(tasks) as task);
    end if;
    if v_done.has_failures then
      ended_runs := pgflow._ended_runs(v_reported.going_on);
    elsif v_done.run_ids is not null then
      ended_runs := ended_runs || pgflow._ended_runs(v_done.run_ids);
    end if;
    skipped_steps := nullif(current_setting('pgflow.skipped_steps'), '[]')::jsonb;
  end if;

  -- Each element has its place, so that NULLs don't move the others.
  read_until := array_fill(null::timestamptz, array[coalesce(cardinality(p_flow_slugs), 0)]);
  for v_flow in 1..coalesce(cardinality(p_flow_slugs), 0) loop
    v_room := v_limit - coalesce(cardinality(tasks), 0);
    exit when v_room = 0;
    continue when p_worker_ids[v_flow] is null;
    select * into v_taken from pgflow._take_tasks(p_flow_slugs[v_flow], p_worker_ids[v_flow], v_room, p_since[v_flow]);
    tasks := tasks || v_taken.tasks;
    read_until[v_flow] := v_taken.read_until;
    v_next_at := least(v_next_at, v_taken.next_at);
  end loop;

  if coalesce(cardinality(tasks), 0) < v_limit then
    pause := extract(epoch from v_next_at - clock_timestamp())::double precision;
  end if;
end
$$;
comment on function pgflow.exchange_tasks(uuid[], text[], int[], int[], jsonb[], text[], boolean[], int[], text[], uuid[], int, timestamptz[]) is 'What a worker calls in its loop, in one transaction: reports the outcomes of tasks, each with the attempt it belongs to, and gets up to p_limit new tasks of some flows, for each of which it names its worker. A report with an error message is a failure, as in fail_tasks, any other a completion. Tasks that the reports made ready come first, then those of the queues in the order of p_flow_slugs. Returns the positions, from 1, of the reports that counted; the tasks, started; the runs that have ended by this call; the steps that it skipped, an array of objects with run_id, flow_slug, step_slug and skip_reason, or NULL; and, when there were fewer tasks than wanted, how many seconds it takes until the next message becomes visible (NULL: none is waiting). Where a queue may have more visible messages than were taken, read_until says by its position how far reading came; the next call may go on from there, or a little before, with p_since. Now and then it has to be left out: messages can become visible behind it, when their transaction took long.';
