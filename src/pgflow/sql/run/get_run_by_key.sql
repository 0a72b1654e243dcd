-- At most one row, also in a snapshot that is older than a deletion and still sees the run that had the key before.
create or replace function pgflow.get_run_by_key(p_flow_slug text, p_key text)
returns setof pgflow.runs
language sql stable security definer
set search_path to pg_catalog, pg_temp
set enable_seqscan to off
set jit to off
as $$
  select r.*
  from pgflow.run_keys k
  cross join lateral (select run.* from pgflow.runs run where run.run_id = k.run_id offset 0) as r
  where k.flow_slug = p_flow_slug and k.key = p_key
  order by k.run_id desc
  limit 1;
$$;
comment on function pgflow.get_run_by_key(text, text) is 'The run of a flow that was started with a key; no row where there is none.';
