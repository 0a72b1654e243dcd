-- Refuses what isn't a role. GRANT takes the word public, also in quotes, for everybody.
create or replace function pgflow._require_role(p_role name)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  if not exists (select from pg_roles r where r.rolname = p_role) then
    raise exception 'role "%" does not exist', p_role
      using errcode = 'undefined_object',
            hint = 'Create it first: create role … login.';
  end if;
end
$$;
