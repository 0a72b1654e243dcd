create or replace function pgflow.ensure_workers()
returns table (function_name text, invoked boolean, request_id bigint)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_is_local boolean := pgflow.is_local();
  v_project_id text := pgflow._vault_secret('supabase_project_id');
  v_key text := coalesce(pgflow._vault_secret('pgflow_auth_secret'), pgflow._vault_secret('supabase_service_role_key'));
  v_base_url text;
  v_headers jsonb;
begin
  if to_regproc('net.http_post') is null then
    return;
  end if;

  if v_is_local then
    v_base_url := 'http://kong:8000/functions/v1';
    v_headers := '{}';
  elsif v_project_id is null or v_key is null then
    return;
  else
    v_base_url := 'https://' || v_project_id || '.supabase.co/functions/v1';
    v_headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' || v_key);
  end if;

  -- Two overlapping calls don't ping a function twice: the second skips what the first has locked.
  for function_name in
    select wf.function_name
    from pgflow.worker_functions wf
    where wf.enabled
      and (v_is_local or (
        (wf.last_invoked_at is null or wf.last_invoked_at < pgflow._now() - wf.debounce)
        and not exists (
          select
          from pgflow.workers w
          where w.function_name = wf.function_name
            and w.stopped_at is null
            and w.deprecated_at is null
            and w.last_heartbeat_at > pgflow._now() - wf.debounce
        )
      ))
    order by wf.function_name
    for update skip locked
  loop
    execute 'select net.http_post(url => $1, headers => $2, body => $3)'
    into request_id
    using v_base_url || '/' || function_name, v_headers, '{}'::jsonb;

    update pgflow.worker_functions wf
    set last_invoked_at = clock_timestamp()
    where wf.function_name = ensure_workers.function_name;

    invoked := true;
    return next;
  end loop;
end
$$;
comment on function pgflow.ensure_workers() is 'On Supabase: calls the registered functions that should run and have no live worker. Elsewhere: returns nothing.';
