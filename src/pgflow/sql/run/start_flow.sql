create or replace function pgflow.start_flow(flow_slug text, input jsonb, run_id uuid default null)
returns setof pgflow.runs
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_id uuid := coalesce(start_flow.run_id, (pgflow._new_run_ids(1))[1]);
begin
  perform pgflow._start_flows(start_flow.flow_slug, array[start_flow.input], array[v_run_id]);
  return query select r.* from pgflow.runs r where r.run_id = v_run_id;
end
$$;
comment on function pgflow.start_flow(text, jsonb, uuid) is 'Starts a run and returns it as it is at the end of the call, when it may have ended already. A given run id must be new.';
