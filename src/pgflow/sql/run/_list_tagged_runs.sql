-- Runs that have all of some tags, newest first, read from the top of the list of the first tag. The other arguments are
-- those of pgflow.list_runs.
create or replace function pgflow._list_tagged_runs(
  p_tags text[],
  p_flow_slugs text[],
  p_statuses text[],
  p_since timestamptz,
  p_until timestamptz,
  p_input_contains jsonb,
  p_limit int,
  p_after_started_at timestamptz,
  p_after_run_id uuid
)
returns setof pgflow.runs
language sql stable
set search_path to pg_catalog, pg_temp
set enable_seqscan to off
set jit to off
set enable_bitmapscan to off
set enable_sort to off
as $$
  select r.*
  from pgflow.run_tags t
  cross join lateral (
    select run.*
    from pgflow.runs run
    where run.run_id = t.run_id
      and (p_flow_slugs is null or run.flow_slug = any (p_flow_slugs))
      and (p_statuses is null or run.status = any (p_statuses))
      and (p_input_contains is null or run.input @> p_input_contains)
    offset 0
  ) as r
  where t.tag = p_tags[1]
    and t.started_at >= coalesce(p_since, '-infinity')
    and t.started_at < coalesce(p_until, 'infinity')
    and (t.started_at, t.run_id)
      < (coalesce(p_after_started_at, 'infinity'), coalesce(p_after_run_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    and (cardinality(p_tags) = 1 or pgflow._has_tags(t.run_id, p_tags[2:]))
  order by t.started_at desc, t.run_id desc
  limit p_limit;
$$;
