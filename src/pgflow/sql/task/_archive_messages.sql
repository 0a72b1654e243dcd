-- Moves messages to the archives of their queues. Ids that are NULL, or no longer in the queue, don't matter.
create or replace function pgflow._archive_messages(p_flow_slugs text[], p_message_ids bigint[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
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
    -- pgmq deletes in no particular order; whoever else changes visibility does it in the order of ids.
    if cardinality(v_queue.message_ids) > 1 then
      execute format(
        'select from unnest($1) as id cross join lateral (select from pgmq.%I where msg_id = id offset 0 for update) as locked',
        pgmq.format_table_name(v_queue.flow_slug, 'q')
      ) using v_queue.message_ids;
    end if;
    perform pgmq.archive(v_queue.flow_slug, v_queue.message_ids);
  end loop;
end
$$;
