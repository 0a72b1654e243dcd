create or replace function pgflow._sorted_dependencies(p_step jsonb)
returns text[]
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(slug order by slug), '{}')
  from jsonb_array_elements_text(coalesce(p_step -> 'dependencies', '[]')) as dependency (slug);
$$;
