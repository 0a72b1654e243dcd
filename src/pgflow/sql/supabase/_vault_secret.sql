-- A secret of Supabase's vault; NULL when there is none, it is empty, or there is no vault.
create or replace function pgflow._vault_secret(p_name text)
returns text
language plpgsql stable
set search_path to pg_catalog, pg_temp
as $$
declare
  v_secret text;
begin
  if to_regclass('vault.decrypted_secrets') is not null then
    execute 'select decrypted_secret from vault.decrypted_secrets where name = $1' into v_secret using p_name;
  end if;
  return nullif(v_secret, '');
end
$$;
