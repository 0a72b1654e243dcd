create or replace function pgflow.is_local()
returns boolean
language sql stable parallel safe
set search_path to pg_catalog, pg_temp
as $$
  select coalesce(
    current_setting('app.settings.jwt_secret', true) = 'super-secret-jwt-token-with-at-least-32-characters-long',
    false
  );
$$;
comment on function pgflow.is_local() is 'Whether this is a local Supabase, known by its published development secret.';
