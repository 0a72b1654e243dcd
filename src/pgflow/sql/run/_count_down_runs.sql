-- Takes one step off the run for each element of p_run_ids.
create or replace function pgflow._count_down_runs(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  update pgflow.runs r
  set remaining_steps = r.remaining_steps - ended.step_count
  from (
    select run_id, count(*) as step_count from unnest(p_run_ids) as run_id group by run_id limit cardinality(p_run_ids)
  ) as ended
  cross join lateral (
    select run.ctid as row_id from pgflow.runs run where run.run_id = ended.run_id offset 0
  ) as found
  where r.ctid = found.row_id;
end
$$;
