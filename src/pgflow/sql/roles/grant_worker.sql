create or replace function pgflow.grant_worker(p_role name)
returns void
language sql
set search_path to pg_catalog, pg_temp
as $$
  select pgflow._grant_functions(p_role, 'worker');
$$;
comment on function pgflow.grant_worker(name) is 'Lets a role work the tasks of all flows, besides what a starter may; it can neither define flows nor delete anything. For the owner; again after an upgrade.';
