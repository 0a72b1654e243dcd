-- Deletes the messages of runs that are still in their queues. Returns their number.
create or replace function pgflow._delete_messages(p_run_ids uuid[])
returns int
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_queue record;
  v_deleted int := 0;
begin
  for v_queue in
    select t.flow_slug, array_agg(t.message_id order by t.message_id) as message_ids
    from pgflow.step_tasks t
    where t.run_id = any (p_run_ids)
      and t.message_id is not null
      and to_regclass('pgmq.' || quote_ident(pgmq.format_table_name(t.flow_slug, 'q'))) is not null
    group by t.flow_slug
    order by t.flow_slug
  loop
    v_deleted := v_deleted + (select count(*)::int from pgmq.delete(v_queue.flow_slug, v_queue.message_ids));
  end loop;
  return v_deleted;
end
$$;
