create or replace function pgflow.get_run_tags(p_run_id uuid)
returns text[]
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(t.tag order by t.tag), '{}')
  from pgflow.run_tags t
  where t.run_id = p_run_id;
$$;
comment on function pgflow.get_run_tags(uuid) is 'The tags of a run in their order; an empty array where it has none, or there is no such run.';
