create or replace function pgflow.ensure_flow_compiled(flow_slug text, shape jsonb, allow_data_loss boolean default false)
returns jsonb
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_differences text[];
begin
  perform pgflow._lock_definition(ensure_flow_compiled.flow_slug);

  if not exists (select from pgflow.flows f where f.flow_slug = ensure_flow_compiled.flow_slug) then
    perform pgflow._create_flow_from_shape(ensure_flow_compiled.flow_slug, ensure_flow_compiled.shape);
    return jsonb_build_object('status', 'compiled', 'differences', '[]'::jsonb);
  end if;

  v_differences := pgflow._compare_flow_shapes(
    ensure_flow_compiled.shape, pgflow._get_flow_shape(ensure_flow_compiled.flow_slug));

  if cardinality(v_differences) = 0 then
    perform pgflow.set_flow_type(ensure_flow_compiled.flow_slug, ensure_flow_compiled.shape ->> 'flowType');
    return jsonb_build_object('status', 'verified', 'differences', '[]'::jsonb);
  end if;

  if not (ensure_flow_compiled.allow_data_loss or pgflow.is_local()) then
    return jsonb_build_object('status', 'mismatch', 'differences', v_differences);
  end if;

  perform pgflow.delete_flow_and_data(ensure_flow_compiled.flow_slug);
  perform pgflow._create_flow_from_shape(ensure_flow_compiled.flow_slug, ensure_flow_compiled.shape);
  return jsonb_build_object('status', 'recompiled', 'differences', v_differences);
end
$$;
comment on function pgflow.ensure_flow_compiled(text, jsonb, boolean) is 'Registers a flow, or compares it with the one registered: compiled, verified, mismatch (nothing changed), or, where data may be lost, recompiled.';
