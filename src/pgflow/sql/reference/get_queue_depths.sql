create or replace function pgflow.get_queue_depths(p_flow_slugs text[])
returns table (flow_slug text, visible_count int, delayed_count int, oldest_seconds double precision)
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select
    f.flow_slug, m.queue_visible_length::int, (m.queue_length - m.queue_visible_length)::int,
    case when m.queue_visible_length > 0 then m.oldest_msg_age_sec end::double precision
  from pgflow.flows f
  cross join lateral pgmq.metrics(f.flow_slug) as m
  where f.flow_slug = any (p_flow_slugs)
  order by f.flow_slug
$$;
comment on function pgflow.get_queue_depths(text[]) is 'Counts the messages of the queues of flows: those that wait for a worker, with the age of the oldest, and those that come later or are being worked on.';
