create or replace function pgflow.track_worker_function(function_name text)
returns void
language sql
set search_path to pg_catalog, pg_temp
as $$
  insert into pgflow.worker_functions (function_name)
  values (track_worker_function.function_name)
  on conflict on constraint worker_functions_pkey do update
  set updated_at = clock_timestamp();
$$;
comment on function pgflow.track_worker_function(text) is 'Registers a function that a platform starts when nobody works its queue; again only refreshes it.';
