create or replace function pgflow.retry_runs(p_run_ids uuid[])
returns table (
  run_id uuid, outcome text, flow_slug text, status text, seconds double precision, error_message text
)
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_found record;
  v_started record;
begin
  perform pgflow._lock_runs(p_run_ids);

  select
    array_agg(wanted.run_id order by wanted.run_id) as run_ids,
    array_agg(case r.status
      when 'failed' then 'retried' when 'started' then 'running' when 'completed' then 'completed' else 'not_found'
    end order by wanted.run_id) as outcomes,
    array_agg(wanted.run_id order by wanted.run_id) filter (where r.status = 'failed') as retried
  into v_found
  from (
    select distinct given.run_id from unnest(p_run_ids) as given (run_id) where given.run_id is not null
    limit cardinality(p_run_ids)
  ) as wanted
  left join lateral (
    select run.status from pgflow.runs run where run.run_id = wanted.run_id offset 0
  ) as r on true;

  if v_found.retried is not null then
    perform pgflow._reopen_runs(v_found.retried);
    perform pgflow._requeue_open_tasks(v_found.retried);

    select
      array_agg(ss.run_id order by ss.step_slug, ss.run_id) as run_ids,
      array_agg(ss.step_slug order by ss.step_slug, ss.run_id) as step_slugs
    into v_started
    from (
      select element.run_id from unnest(v_found.retried) as element (run_id) limit cardinality(v_found.retried)
    ) as retried
    cross join lateral (
      select state.run_id, state.step_slug
      from pgflow.step_states state
      where state.run_id = retried.run_id and state.status = 'started'
      offset 0
    ) as ss;
    perform pgflow._emit_events('run:started', v_found.retried);
    perform pgflow._emit_events('step:started', v_started.run_ids, v_started.step_slugs);
    perform pgflow._advance_runs(v_found.retried);
  end if;

  return query
    select found.run_id, found.outcome, r.flow_slug, ended.status, ended.seconds, ended.error_message
    from unnest(v_found.run_ids, v_found.outcomes) as found (run_id, outcome)
    left join lateral (
      select run.flow_slug from pgflow.runs run where found.outcome = 'retried' and run.run_id = found.run_id offset 0
    ) as r on true
    left join unnest(pgflow._ended_runs(v_found.retried)) as ended on ended.run_id = found.run_id;
end
$$;
comment on function pgflow.retry_runs(uuid[]) is 'Lets failed and cancelled runs go on, at once: steps that failed or were left in the middle run again with all their attempts, but only those of their tasks that haven''t completed; outputs are kept. A skip because of a failure is taken back, with what followed from it, unless something behind it was started; other skips stay. Returns one row per run with the outcome: retried; running; completed; or not_found. Of those retried it also tells the flow and, if the call has ended the run again, the status, how many seconds after its start that was, and why it failed.';
