-- Makes messages of any queues visible after so many seconds each.
create or replace function pgflow._set_visibility(p_flow_slugs text[], p_message_ids bigint[], p_seconds int[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_queue record;
begin
  for v_queue in
    select changed.flow_slug, array_agg(changed.message_id) as message_ids, array_agg(changed.seconds) as seconds
    from unnest(p_flow_slugs, p_message_ids, p_seconds) as changed (flow_slug, message_id, seconds)
    where changed.message_id is not null
    group by changed.flow_slug
    order by changed.flow_slug
  loop
    perform pgflow.set_vt_batch(v_queue.flow_slug, v_queue.message_ids, v_queue.seconds);
  end loop;
end
$$;
