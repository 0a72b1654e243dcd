create or replace function pgflow.calculate_retry_delay(base_delay numeric, attempts_count int)
returns int
language sql immutable parallel safe
set search_path to pg_catalog, pg_temp
as $$
  -- The exponent is capped too: a numeric power of two with thousands of digits would be computed for nothing.
  select least(floor(base_delay * power(2::numeric, least(attempts_count, 1000))), 2147483647)::int;
$$;
comment on function pgflow.calculate_retry_delay(numeric, int) is 'Seconds before the next attempt: base_delay doubled once per attempt made, rounded down, at most the largest int.';
