create or replace function pgflow.cancel_runs(p_run_ids uuid[], p_reason text default null)
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
  v_reason text := nullif(btrim(p_reason), '');
  v_found record;
begin
  perform pgflow._lock_runs(p_run_ids);

  select
    array_agg(wanted.run_id order by wanted.run_id) as run_ids,
    array_agg(r.flow_slug order by wanted.run_id) as flow_slugs,
    array_agg(r.seconds order by wanted.run_id) as seconds,
    array_agg(case
      when r.status is null then 'not_found'
      when r.status = 'started' then 'cancelled'
      when c.was_cancelled then 'already_cancelled'
      else 'ended'
    end order by wanted.run_id) as outcomes,
    array_agg(wanted.run_id order by wanted.run_id) filter (where r.status = 'started') as cancelled
  into v_found
  from (
    select distinct given.run_id from unnest(p_run_ids) as given (run_id) where given.run_id is not null
    limit cardinality(p_run_ids)
  ) as wanted
  left join lateral (
    select run.flow_slug, run.status,
      extract(epoch from greatest(pgflow._now(), run.started_at) - run.started_at)::double precision as seconds
    from pgflow.runs run
    where run.run_id = wanted.run_id
    offset 0
  ) as r on true
  left join lateral (
    select true as was_cancelled from pgflow.run_cancellations cancelled where cancelled.run_id = wanted.run_id offset 0
  ) as c on true;

  if v_found.cancelled is not null then
    insert into pgflow.run_cancellations (run_id, reason)
    select cancelled.run_id, v_reason from unnest(v_found.cancelled) as cancelled (run_id);
    perform pgflow._end_failed_runs(v_found.cancelled);
  end if;

  return query
    select
      found.run_id, found.outcome,
      cancelled.flow_slug, cancelled.status, cancelled.seconds, cancelled.error_message
    from unnest(v_found.run_ids, v_found.outcomes, v_found.flow_slugs, v_found.seconds)
      as found (run_id, outcome, flow_slug, seconds)
    left join lateral (
      select found.flow_slug, 'failed' as status, found.seconds, pgflow._cancellation_message(v_reason) as error_message
      where found.outcome = 'cancelled'
    ) as cancelled on true;
end
$$;
comment on function pgflow.cancel_runs(uuid[], text) is 'Fails runs that go on, without failing a step: nothing more is started, their messages leave the queue, and reports of tasks that still run change nothing. Returns one row per run with the outcome: cancelled; already_cancelled; ended, by itself; or not_found. Of those that this call has cancelled it also tells the flow, the status, how many seconds after its start that was, and the error message of the event run:failed.';
