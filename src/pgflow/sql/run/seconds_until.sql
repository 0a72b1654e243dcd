create or replace function pgflow.seconds_until(p_at timestamptz)
returns int
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select least(greatest(ceil(extract(epoch from p_at - clock_timestamp())), 0), 2147483647)::int;
$$;
comment on function pgflow.seconds_until(timestamptz) is 'Whole seconds from now, by the wall clock, until a point in time, rounded up, for a delay; 0 when it has passed.';
