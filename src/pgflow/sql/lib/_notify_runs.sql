-- Tells listeners which runs have changed; the payload is empty, look yourself, where there are more than it can hold.
-- Called once at the end of a batch rather than for each event, so that a batch sends one notification.
create or replace function pgflow._notify_runs(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  if cardinality(p_run_ids) > 0 then
    perform pgflow._notify(
      'runs',
      -- A payload has less than 8,000 bytes; an id and its comma take 37.
      case when cardinality(p_run_ids) <= 200 then array_to_string(p_run_ids, ',') else '' end
    );
  end if;
end
$$;
