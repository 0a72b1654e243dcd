-- Moves messages to the archives of their queues. Ids that are NULL, or no longer in the queue, don't matter.
-- pgmq finds them by a list of ids: left with nothing but the index for that, it takes them in the order of ids, in which
-- everybody locks messages.
create or replace function pgflow._archive_messages(p_flow_slugs text[], p_message_ids bigint[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
set enable_seqscan to off
set jit to off
set enable_bitmapscan to off
as $$
declare
  v_queue record;
begin
  for v_queue in
    select message.flow_slug, array_agg(message.message_id order by message.message_id) as message_ids
    from unnest(p_flow_slugs, p_message_ids) as message (flow_slug, message_id)
    where message.message_id is not null
    group by message.flow_slug
    order by message.flow_slug
  loop
    perform pgmq.archive(v_queue.flow_slug, v_queue.message_ids);
  end loop;
end
$$;
