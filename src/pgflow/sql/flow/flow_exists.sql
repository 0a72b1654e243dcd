create or replace function pgflow.flow_exists(p_flow_slug text)
returns boolean
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select exists (select from pgflow.flows f where f.flow_slug = p_flow_slug);
$$;
comment on function pgflow.flow_exists(text) is 'Whether a flow of this slug is registered.';
