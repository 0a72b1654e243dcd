create or replace function pgflow.start_flow_with_states(flow_slug text, input jsonb, run_id uuid default null)
returns jsonb
language plpgsql security definer
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_id uuid := coalesce(start_flow_with_states.run_id, (pgflow._new_run_ids(1))[1]);
begin
  perform pgflow._start_flows(start_flow_with_states.flow_slug, array[start_flow_with_states.input], array[v_run_id]);
  return pgflow.get_run_with_states(v_run_id);
end
$$;
comment on function pgflow.start_flow_with_states(text, jsonb, uuid) is 'Starts a run and returns it with the states of its steps.';
