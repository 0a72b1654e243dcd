create or replace function pgflow.count_runs(
  p_flow_slugs text[] default null,
  p_statuses text[] default null,
  p_since timestamptz default null,
  p_until timestamptz default null,
  p_input_contains jsonb default null,
  p_tags text[] default null
)
returns bigint
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select case
    when cardinality(p_tags) > 0 then (
      select count(*)
      from pgflow.run_tags t
      join pgflow.runs r on r.run_id = t.run_id
      where t.tag = p_tags[1]
        and pgflow._has_tags(t.run_id, p_tags[2:])
        and (p_since is null or t.started_at >= p_since)
        and (p_until is null or t.started_at < p_until)
        and (p_flow_slugs is null or r.flow_slug = any (p_flow_slugs))
        and (p_statuses is null or r.status = any (p_statuses))
        and (p_input_contains is null or r.input @> p_input_contains)
    )
    else (
      select count(*)
      from pgflow.runs r
      where (p_flow_slugs is null or r.flow_slug = any (p_flow_slugs))
        and (p_statuses is null or r.status = any (p_statuses))
        and (p_since is null or r.started_at >= p_since)
        and (p_until is null or r.started_at < p_until)
        and (p_input_contains is null or r.input @> p_input_contains)
    )
  end;
$$;
comment on function pgflow.count_runs(text[], text[], timestamptz, timestamptz, jsonb, text[]) is 'How many runs pgflow.list_runs would list with these filters.';
