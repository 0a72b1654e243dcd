-- How long it takes until the queue of one of these flows has a visible message, as far as is known now; NULL if they are empty.
create or replace function pgflow._seconds_to_next_message(p_flow_slugs text[])
returns double precision
language plpgsql
set search_path to pg_catalog, pg_temp
set enable_seqscan to off
set jit to off
set enable_bitmapscan to off
as $$
declare
  v_flow_slug text;
  v_visible_at timestamptz;
  v_next timestamptz;
begin
  for v_flow_slug in select f.flow_slug from pgflow.flows f where f.flow_slug = any (p_flow_slugs) loop
    execute format('select min(vt) from pgmq.%I', pgmq.format_table_name(v_flow_slug, 'q')) into v_visible_at;
    v_next := least(v_next, v_visible_at);
  end loop;
  return extract(epoch from v_next - clock_timestamp())::double precision;
end
$$;
