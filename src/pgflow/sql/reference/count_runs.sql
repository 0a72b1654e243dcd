create or replace function pgflow.count_runs(
  p_flow_slugs text[] default null,
  p_statuses text[] default null,
  p_since timestamptz default null,
  p_until timestamptz default null,
  p_input_contains jsonb default null
)
returns bigint
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select count(*)
  from pgflow.runs r
  where (p_flow_slugs is null or r.flow_slug = any (p_flow_slugs))
    and (p_statuses is null or r.status = any (p_statuses))
    and r.started_at >= coalesce(p_since, '-infinity')
    and r.started_at < coalesce(p_until, 'infinity')
    and (p_input_contains is null or r.input @> p_input_contains)
$$;
comment on function pgflow.count_runs(text[], text[], timestamptz, timestamptz, jsonb) is 'How many runs pgflow.list_runs would list with these filters.';
