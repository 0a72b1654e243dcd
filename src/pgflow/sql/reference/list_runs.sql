create or replace function pgflow.list_runs(
  p_flow_slugs text[] default null,
  p_statuses text[] default null,
  p_since timestamptz default null,
  p_until timestamptz default null,
  p_input_contains jsonb default null,
  p_limit int default 50,
  p_after_started_at timestamptz default null,
  p_after_run_id uuid default null
)
returns setof pgflow.runs
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select r.*
  from pgflow.runs r
  where (p_flow_slugs is null or r.flow_slug = any (p_flow_slugs))
    and (p_statuses is null or r.status = any (p_statuses))
    and r.started_at >= coalesce(p_since, '-infinity')
    and r.started_at < coalesce(p_until, 'infinity')
    and (p_input_contains is null or r.input @> p_input_contains)
    and (r.started_at, r.run_id)
      < (coalesce(p_after_started_at, 'infinity'), coalesce(p_after_run_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
  order by r.started_at desc, r.run_id desc
  limit p_limit
$$;
comment on function pgflow.list_runs(text[], text[], timestamptz, timestamptz, jsonb, int, timestamptz, uuid) is 'Runs, newest first, that all given filters let pass; p_limit of them (NULL: all), beginning behind the one that p_after_started_at and p_after_run_id name.';
