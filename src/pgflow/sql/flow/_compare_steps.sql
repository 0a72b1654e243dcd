-- What differs between two steps at the same position of two shapes, in the order in which it is reported.
create or replace function pgflow._compare_steps(p_first jsonb, p_second jsonb)
returns table (rank int, difference text)
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select 1, format('missing in first shape (second has ''%s'')', p_second ->> 'slug')
  where p_first is null
  union all
  select 2, format('missing in second shape (first has ''%s'')', p_first ->> 'slug')
  where p_second is null
  union all
  select field.rank, format('%s differs ''%s'' vs ''%s''', field.label, p_first ->> field.key, p_second ->> field.key)
  from (values
    (3, 'slug', 'slug'),
    (4, 'stepType', 'type'),
    (6, 'whenUnmet', 'whenUnmet'),
    (7, 'whenExhausted', 'whenExhausted')
  ) as field (rank, key, label)
  where p_first ? field.key and p_second ? field.key
    and p_first ->> field.key is distinct from p_second ->> field.key
  union all
  select 5, format('dependencies differ [%s] vs [%s]', array_to_string(a.slugs, ', '), array_to_string(b.slugs, ', '))
  from pgflow._sorted_dependencies(p_first) as a (slugs), pgflow._sorted_dependencies(p_second) as b (slugs)
  where p_first is not null and p_second is not null and a.slugs <> b.slugs
  union all
  select field.rank, format('%s differs ''%s'' vs ''%s''', field.key, a.pattern, b.pattern)
  from (values
    (8, 'requiredInputPattern'),
    (9, 'forbiddenInputPattern')
  ) as field (rank, key),
  lateral (select coalesce(p_first -> field.key, pgflow._wrap_pattern(null))) as a (pattern),
  lateral (select coalesce(p_second -> field.key, pgflow._wrap_pattern(null))) as b (pattern)
  where p_first is not null and p_second is not null and a.pattern <> b.pattern;
$$;
