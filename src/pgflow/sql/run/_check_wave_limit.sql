create or replace function pgflow._check_wave_limit(p_waves int, p_wave_limit int)
returns void
language plpgsql immutable
set search_path to pg_catalog, pg_temp
as $$
begin
  if p_waves > p_wave_limit then
    raise exception 'Cascade loop exceeded safety limit of % iterations', p_wave_limit;
  end if;
end
$$;
