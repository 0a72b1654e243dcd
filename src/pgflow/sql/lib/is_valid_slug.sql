create or replace function pgflow.is_valid_slug(slug text)
returns boolean
language sql immutable parallel safe
set search_path to pg_catalog, pg_temp
as $$
  select coalesce(slug ~ '^[A-Za-z_][A-Za-z0-9_]{0,127}$' and slug <> 'run', false);
$$;
comment on function pgflow.is_valid_slug(text) is 'Whether a text may name a flow or step: 1 to 128 ASCII letters, digits or underscores, no digit first, not the reserved word run.';
