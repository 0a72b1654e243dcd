-- The distinct elements of an array in the order of their first appearance; NULL gives an empty array.
create or replace function pgflow._distinct_texts(p_texts text[])
returns text[]
language sql immutable parallel safe
set search_path to pg_catalog, pg_temp
as $$
  select coalesce(array_agg(first.value order by first."position"), '{}')
  from (
    select element.value, min(element."position") as "position"
    from unnest(p_texts) with ordinality as element (value, "position")
    group by element.value
  ) as first;
$$;
