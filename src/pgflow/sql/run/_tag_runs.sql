-- Writes tags on runs that this transaction has started.
create or replace function pgflow._tag_runs(p_run_ids uuid[], p_tags text[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  insert into pgflow.run_tags (run_id, tag, started_at)
  select new.run_id, tag, pgflow._now()
  from unnest(p_run_ids) as new (run_id)
  cross join unnest(p_tags) as tag;
end
$$;
