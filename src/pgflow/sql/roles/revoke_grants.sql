create or replace function pgflow.revoke_grants(p_role name)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._require_role(p_role);
  execute format('revoke all on all functions in schema pgflow from %I', p_role);
  execute format('revoke all on all tables in schema pgflow from %I', p_role);
  execute format('revoke all on schema pgflow from %I', p_role);
end
$$;
comment on function pgflow.revoke_grants(name) is 'Takes every right in schema pgflow from a role.';
