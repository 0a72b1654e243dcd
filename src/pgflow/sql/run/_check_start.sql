-- Raises for arguments of pgflow.start_runs that no constraint refuses.
create or replace function pgflow._check_start(
  p_inputs jsonb[],
  p_keys text[],
  p_tags text[],
  p_start_at timestamptz,
  p_run_ids uuid[]
)
returns void
language plpgsql immutable
set search_path to pg_catalog, pg_temp
as $$
begin
  if cardinality(p_keys) <> cardinality(p_inputs) then
    raise exception 'p_keys length (%) must equal p_inputs length (%)', cardinality(p_keys), cardinality(p_inputs);
  end if;

  if cardinality(p_run_ids) <> cardinality(p_inputs) then
    raise exception 'p_run_ids length (%) must equal p_inputs length (%)', cardinality(p_run_ids), cardinality(p_inputs);
  end if;

  if cardinality(p_tags) > 20 then
    raise exception 'a run has at most 20 tags, not %', cardinality(p_tags);
  end if;

  if not isfinite(p_start_at) then
    raise exception 'p_start_at must be a point in time, not %', p_start_at;
  end if;
end
$$;
