create or replace function pgflow.delete_flow_and_data(p_flow_slug text)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  perform pgflow._lock_definition(p_flow_slug);

  -- Its runs in the order in which everybody locks them, before the flow, which the holder of a run may need: a row that
  -- is changed twice in a transaction has its references checked. Then nobody starts a run of it, and those are locked
  -- that were started meanwhile.
  perform from pgflow.runs r where r.flow_slug = p_flow_slug order by r.run_id for update;
  perform from pgflow.flows f where f.flow_slug = p_flow_slug for update;
  perform from pgflow.runs r where r.flow_slug = p_flow_slug order by r.run_id for update;

  delete from pgflow.step_tasks t where t.flow_slug = p_flow_slug;
  delete from pgflow.step_states ss where ss.flow_slug = p_flow_slug;
  delete from pgflow.runs r where r.flow_slug = p_flow_slug;
  delete from pgflow.deps d where d.flow_slug = p_flow_slug;
  delete from pgflow.steps s where s.flow_slug = p_flow_slug;
  delete from pgflow.flows f where f.flow_slug = p_flow_slug;

  -- Only a queue of exactly this name: one that differs by case belongs to somebody else.
  if exists (select from pgmq.list_queues() q where q.queue_name = p_flow_slug) then
    perform pgmq.drop_queue(p_flow_slug);
  end if;

  perform pgflow._notify('runs', '');
end
$$;
comment on function pgflow.delete_flow_and_data(text) is 'Deletes a flow with its definition, its runs and its queue. An unknown flow is no error.';
