-- Gives a role that exists what a starter or a worker needs; again is fine.
create or replace function pgflow._grant_functions(p_role name, p_kind text)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_function regprocedure;
begin
  perform pgflow._require_role(p_role);
  execute format('grant usage on schema pgflow to %I', p_role);

  -- Clients look there whether the schema fits them.
  if to_regclass('pgflow.migrations') is not null then
    execute format('grant select on table pgflow.migrations to %I', p_role);
  end if;

  for v_function in select granted.* from pgflow._functions_of_role(p_kind) as granted loop
    execute format('grant execute on function %s to %I', v_function, p_role);
  end loop;
end
$$;
