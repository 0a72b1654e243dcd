-- Says which inputs start a run: those without a key, and the first one of each key that is free, which from now on
-- belongs to that input's run. Who finds a key in the hands of a transaction that goes on waits for its end. Keys are
-- taken in their order, so that two who want the same ones don't wait for each other. Where the caller's transaction may
-- not see what the other one has committed, it is an error (40001).
-- No nested loops: they would compare every key with every other.
create or replace function pgflow._claim_keys(p_flow_slug text, p_keys text[], p_run_ids uuid[])
returns boolean[]
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_nestloop to off
as $$
declare
  v_starting boolean[];
begin
  with given as (
    select * from unnest(p_keys, p_run_ids) with ordinality as element (key, run_id, "position")
  ), wanted as (
    select distinct on (given.key) given.key, given.run_id, given."position"
    from given
    where given.key is not null
    order by given.key, given."position"
  ), claimed as (
    insert into pgflow.run_keys as k (flow_slug, key, run_id)
    select p_flow_slug, wanted.key, wanted.run_id
    from wanted
    order by wanted.key
    on conflict on constraint run_keys_pkey do nothing
    returning k.key
  )
  select array_agg(given.key is null or claimed.key is not null order by given."position")
  into v_starting
  from given
  left join wanted on wanted."position" = given."position"
  left join claimed on claimed.key = wanted.key;

  return v_starting;
end
$$;
