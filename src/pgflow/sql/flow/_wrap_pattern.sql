-- How a shape writes a condition's pattern, which may be absent.
create or replace function pgflow._wrap_pattern(p_pattern jsonb)
returns jsonb
language sql immutable parallel safe
set search_path to pg_catalog, pg_temp
as $$
  select case
    when p_pattern is null then '{"defined": false}'::jsonb
    else jsonb_build_object('defined', true, 'value', p_pattern)
  end;
$$;
