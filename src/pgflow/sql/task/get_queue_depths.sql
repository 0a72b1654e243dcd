create or replace function pgflow.get_queue_depths(p_flow_slugs text[])
returns table (flow_slug text, visible_count int, delayed_count int, oldest_seconds double precision)
language plpgsql stable security definer
set search_path to pg_catalog, pg_temp
as $$
begin
  for flow_slug in
    select f.flow_slug from pgflow.flows f where f.flow_slug = any (p_flow_slugs) order by f.flow_slug
  loop
    -- Counted up to a limit: whoever asks wants to know whether it is too much.
    execute format(
      $sql$
        select
          count(*) filter (where q.vt <= clock_timestamp()),
          count(*) filter (where q.vt > clock_timestamp()),
          extract(epoch from clock_timestamp() - min(q.vt) filter (where q.vt <= clock_timestamp()))
        from (select vt from pgmq.%I limit 10000) as q
      $sql$,
      pgmq.format_table_name(flow_slug, 'q')
    ) into visible_count, delayed_count, oldest_seconds;
    return next;
  end loop;
end
$$;
comment on function pgflow.get_queue_depths(text[]) is 'Counts the messages of the queues of flows, among 10,000 of each: those that wait for a worker, with the seconds that the oldest has waited, and those that come later or are being worked on. Flows that aren''t registered have no row.';
