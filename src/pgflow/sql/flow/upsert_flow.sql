create or replace function pgflow.upsert_flow(p_flow_slug text, p_shape jsonb, p_on_conflict text default 'recreate')
returns jsonb
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_differences text[];
begin
  if p_on_conflict is null or p_on_conflict not in ('recreate', 'if_changed', 'error') then
    raise exception 'p_on_conflict must be recreate, if_changed or error, not %', p_on_conflict;
  end if;
  perform pgflow._lock_definition(p_flow_slug);

  if not exists (select from pgflow.flows f where f.flow_slug = p_flow_slug) then
    perform pgflow._create_flow_from_shape(p_flow_slug, p_shape);
    return jsonb_build_object('status', 'compiled', 'differences', '[]'::jsonb);
  end if;

  v_differences := pgflow._compare_flow_shapes(p_shape, pgflow._get_flow_shape(p_flow_slug));

  if p_on_conflict = 'recreate' or (p_on_conflict = 'if_changed' and cardinality(v_differences) > 0) then
    perform pgflow.delete_flow_and_data(p_flow_slug);
    perform pgflow._create_flow_from_shape(p_flow_slug, p_shape);
    return jsonb_build_object('status', 'recompiled', 'differences', v_differences);
  end if;

  if cardinality(v_differences) > 0 then
    return jsonb_build_object('status', 'mismatch', 'differences', v_differences);
  end if;

  perform pgflow._set_options(p_flow_slug, p_shape);
  return jsonb_build_object('status', 'verified', 'differences', '[]'::jsonb);
end
$$;
comment on function pgflow.upsert_flow(text, jsonb, text) is 'Registers a flow. One that exists is deleted with its runs and registered anew (recreate), or only if its shape differs (if_changed), or never: mismatch (error). Where the shape is the same and the flow is kept, it gets the new options.';
