create or replace function pgflow.fetch_tasks(p_flow_slug text, p_worker_id uuid, p_limit int)
returns setof pgflow.started_task
language plpgsql security definer
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
begin
  return query
    select task.* from pgflow._take_tasks(p_flow_slug, p_worker_id, p_limit) as taken, unnest(taken.tasks) as task;
end
$$;
comment on function pgflow.fetch_tasks(text, uuid, int) is 'Reads up to p_limit messages of a flow and starts their tasks, in one call; returns the tasks started.';
