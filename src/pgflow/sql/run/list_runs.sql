-- Runs of one flow and status are in order in their index, so each of these lists is read from its top, and they are
-- merged. A missing bound is one that every row meets, so that the index can serve all bounds.
create or replace function pgflow.list_runs(
  p_flow_slugs text[] default null,
  p_statuses text[] default null,
  p_since timestamptz default null,
  p_until timestamptz default null,
  p_input_contains jsonb default null,
  p_limit int default 50,
  p_after_started_at timestamptz default null,
  p_after_run_id uuid default null,
  p_tags text[] default null
)
returns setof pgflow.runs
language sql stable
set search_path to pg_catalog, pg_temp
set enable_seqscan to off
set jit to off
set enable_bitmapscan to off
set enable_sort to off
as $$
  select found.*
  from unnest(pgflow._distinct_texts(coalesce(p_flow_slugs, array(select f.flow_slug from pgflow.flows f)))) as flow (slug)
  cross join unnest(pgflow._distinct_texts(coalesce(p_statuses, array['started', 'completed', 'failed']))) as status (word)
  cross join lateral (
    select r.*
    from pgflow.runs r
    where r.flow_slug = flow.slug
      and r.status = status.word
      and r.started_at >= coalesce(p_since, '-infinity')
      and r.started_at < coalesce(p_until, 'infinity')
      and (r.started_at, r.run_id)
        < (coalesce(p_after_started_at, 'infinity'), coalesce(p_after_run_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
      and (p_input_contains is null or r.input @> p_input_contains)
    order by r.started_at desc, r.run_id desc
    limit p_limit
  ) as found
  where coalesce(cardinality(p_tags), 0) = 0
  union all
  select tagged.*
  from pgflow._list_tagged_runs(
    pgflow._distinct_texts(p_tags), p_flow_slugs, p_statuses, p_since, p_until, p_input_contains, p_limit,
    p_after_started_at, p_after_run_id
  ) as tagged
  where cardinality(p_tags) > 0
  order by started_at desc, run_id desc
  limit p_limit;
$$;
comment on function pgflow.list_runs(text[], text[], timestamptz, timestamptz, jsonb, int, timestamptz, uuid, text[]) is 'Runs, newest first: of these flows, in these statuses, started since and before until, whose input contains (@>) p_input_contains, that have all of p_tags; NULL leaves a filter out. p_limit runs (NULL: all), beginning behind the one that p_after_started_at and p_after_run_id name.';
