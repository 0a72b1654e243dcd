-- UUIDs of version 7 (RFC 9562, section 5.7): milliseconds since 1970 and 74 random bits. Runs that start one after the
-- other then lie side by side in all indexes, however many there are, and no run can be guessed.
create or replace function pgflow._new_run_ids(p_count int)
returns uuid[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  return array(
    select (
      lpad(to_hex(floor(extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
      || '7'
      || substr(replace(gen_random_uuid()::text, '-', ''), 14)
    )::uuid
    from generate_series(1, p_count)
  );
end
$$;
