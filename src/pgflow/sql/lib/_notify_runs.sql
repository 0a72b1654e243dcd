-- Tells listeners which runs have changed; the payload is empty, look yourself, where there are more than it can hold.
-- Everybody who is connected hears payloads, and may look at a run whose id he knows: so they hold digests of the ids.
-- Called once at the end of a batch rather than for each event, so that a batch sends one notification.
create or replace function pgflow._notify_runs(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  if cardinality(p_run_ids) > 0 and pgflow._has_listeners('runs') then
    -- A payload has less than 8,000 bytes; a digest and its comma take 9.
    perform pg_notify('pgflow_runs', case
      when cardinality(p_run_ids) > 800 then ''
      else (
        select string_agg(distinct encode(substr(sha256(uuid_send(run_id)), 1, 4), 'hex'), ',')
        from unnest(p_run_ids) as run_id
      )
    end);
  end if;
end
$$;
