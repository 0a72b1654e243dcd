create or replace function pgflow._has_tags(p_run_id uuid, p_tags text[])
returns boolean
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select not exists (
    select from unnest(p_tags) as wanted (tag)
    where not exists (select from pgflow.run_tags t where t.run_id = p_run_id and t.tag = wanted.tag)
  );
$$;
