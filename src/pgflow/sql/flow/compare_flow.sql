create or replace function pgflow.compare_flow(p_flow_slug text, p_shape jsonb)
returns jsonb
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'status', case
      when not pgflow.flow_exists(p_flow_slug) then 'missing'
      when cardinality(found.differences) = 0 then 'verified'
      else 'mismatch'
    end,
    'differences', found.differences
  )
  from (select pgflow._compare_flow_shapes(p_shape, pgflow._get_flow_shape(p_flow_slug)) as differences) as found;
$$;
comment on function pgflow.compare_flow(text, jsonb) is 'Compares a shape with the flow registered and changes nothing: missing, verified, or mismatch with the differences.';
