-- What stands for the error message of a run that was cancelled.
create or replace function pgflow._cancellation_message(p_reason text)
returns text
language sql immutable
set search_path to pg_catalog, pg_temp
as $$
  select 'Run cancelled' || coalesce(': ' || p_reason, '');
$$;
