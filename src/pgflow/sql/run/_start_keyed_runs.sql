-- Starts runs for the inputs whose keys are free, and returns the run of each input, in their order, with whether it was
-- there before; no row at all where one that was there has been deleted meanwhile.
create or replace function pgflow._start_keyed_runs(
  p_flow_slug text,
  p_inputs jsonb[],
  p_keys text[],
  p_tags text[],
  p_delay int,
  p_run_ids uuid[]
)
returns table (existed boolean, run pgflow.runs)
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
declare
  v_starting boolean[] := pgflow._claim_keys(p_flow_slug, p_keys, p_run_ids);
  v_new record;
begin
  select
    array_agg(given.input order by given."position") as inputs,
    array_agg(given.run_id order by given."position") as run_ids
  into v_new
  from unnest(p_inputs, p_run_ids, v_starting) with ordinality as given (input, run_id, is_starting, "position")
  where given.is_starting;

  if v_new.run_ids is not null then
    perform pgflow._start_flows(p_flow_slug, v_new.inputs, v_new.run_ids, p_delay);
    perform pgflow._tag_runs(v_new.run_ids, p_tags);
  end if;

  -- A snapshot that is older than a deletion still sees the run that had the key before.
  return query
    with found as materialized (
      select given."position", given.is_starting, r.run
      from (
        select *
        from unnest(p_run_ids, p_keys, v_starting) with ordinality as element (run_id, key, is_starting, "position")
        limit cardinality(p_run_ids)
      ) as given
      left join lateral (
        select k.run_id
        from pgflow.run_keys k
        where k.flow_slug = p_flow_slug and k.key = given.key
        order by k.run_id = given.run_id desc, k.run_id desc
        limit 1
      ) as owner on true
      cross join lateral (
        select started as run
        from pgflow.runs started
        where started.run_id = case when given.key is null then given.run_id else owner.run_id end
        offset 0
      ) as r
    )
    select not found.is_starting, found.run
    from found
    where (select count(*) from found) = cardinality(p_inputs)
    order by found."position";
end
$$;
