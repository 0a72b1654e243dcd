create or replace function pgflow.start_flows(
  p_flow_slug text,
  p_inputs jsonb[],
  p_run_ids uuid[] default null,
  p_delay int default 0
)
returns setof pgflow.runs
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_run_ids uuid[] := coalesce(p_run_ids, pgflow._new_run_ids(cardinality(p_inputs)));
begin
  if cardinality(v_run_ids) <> cardinality(p_inputs) then
    raise exception 'p_run_ids length (%) must equal p_inputs length (%)', cardinality(v_run_ids), cardinality(p_inputs);
  end if;

  if p_delay < 0 then
    raise exception 'p_delay must not be negative, but is %', p_delay;
  end if;

  perform pgflow._start_flows(p_flow_slug, p_inputs, v_run_ids, coalesce(p_delay, 0));

  return query
    select r.*
    from unnest(v_run_ids) with ordinality as new (run_id, "position")
    cross join lateral (select run.* from pgflow.runs run where run.run_id = new.run_id offset 0) as r
    order by new."position";
end
$$;
comment on function pgflow.start_flows(text, jsonb[], uuid[], int) is 'Starts one run per input, all or none, and returns them in the order of the inputs. Their first tasks become visible after p_delay seconds; the runs exist at once.';
