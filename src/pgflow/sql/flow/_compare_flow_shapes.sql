create or replace function pgflow._compare_flow_shapes(p_local jsonb, p_db jsonb)
returns text[]
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  with first as (
    select "position" - 1 as index, step
    from jsonb_array_elements(coalesce(p_local -> 'steps', '[]')) with ordinality as element (step, "position")
  ), second as (
    select "position" - 1 as index, step
    from jsonb_array_elements(coalesce(p_db -> 'steps', '[]')) with ordinality as element (step, "position")
  ), count_difference as (
    select format('Step count differs: %s vs %s', a.count, b.count) as difference
    from (select count(*) from first) a, (select count(*) from second) b
    where a.count <> b.count
  ), step_differences as (
    select index, rank, format('Step at index %s: %s', index, difference) as difference
    from first
    full join second using (index)
    cross join lateral pgflow._compare_steps(first.step, second.step) as found (rank, difference)
  )
  select coalesce(array_agg(difference order by index, rank), '{}')
  from (
    select -1 as index, 0 as rank, difference from count_difference
    union all
    select index, rank, difference from step_differences
  ) as all_differences;
$$;
comment on function pgflow._compare_flow_shapes(jsonb, jsonb) is 'What differs between two shapes, one text per difference; an empty array when they are equal.';
