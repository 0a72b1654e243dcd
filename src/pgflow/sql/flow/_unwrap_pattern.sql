create or replace function pgflow._unwrap_pattern(p_wrapped jsonb)
returns jsonb
language sql immutable parallel safe
set search_path to pg_catalog, pg_temp
as $$
  select case when p_wrapped -> 'defined' = 'true' then p_wrapped -> 'value' end;
$$;
