create or replace function pgflow.grant_starter(p_role name)
returns void
language sql
set search_path to pg_catalog, pg_temp
as $$
  select pgflow._grant_functions(p_role, 'starter');
$$;
comment on function pgflow.grant_starter(name) is 'Lets a role start runs, and look at runs whose id it knows; nothing else. For the owner; again after an upgrade.';
