-- One read for who waits: before the end there is nothing to see, and inputs and outputs may be large. A run that is
-- retried or deleted between the two looks at it has what get_run_with_states gives then.
create or replace function pgflow.get_runs_if_ended(p_run_ids uuid[])
returns table (run_id uuid, run_with_states jsonb)
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
begin
  return query
    select r.run_id, case when r.status in ('completed', 'failed') then pgflow.get_run_with_states(r.run_id) end
    from unnest(p_run_ids) as asked (run_id)
    cross join lateral (
      select found.run_id, found.status from pgflow.runs found where found.run_id = asked.run_id offset 0
    ) as r;
end
$$;
comment on function pgflow.get_runs_if_ended(uuid[]) is 'For each of these runs, in any order, what get_run_with_states has if it has completed or failed, else NULL; an unknown run has no row. For who waits for few.';
