-- For a flow with a map among its root steps: each run needs an array.
create or replace function pgflow._check_root_map_inputs(p_flow_slug text, p_inputs jsonb[])
returns void
language plpgsql immutable
set search_path to pg_catalog, pg_temp
as $$
declare
  v_bad record;
begin
  select jsonb_typeof(new.input) as type into v_bad
  from unnest(p_inputs) with ordinality as new (input, "position")
  where jsonb_typeof(new.input) is distinct from 'array'
  order by new."position"
  limit 1;

  if found and v_bad.type is null then
    raise exception 'Flow % has root map steps but input is NULL', p_flow_slug;
  elsif found then
    raise exception 'Flow % has root map steps but input is not an array (got %)', p_flow_slug, v_bad.type;
  end if;
end
$$;
