-- Skips the named steps and everything reachable from them, whatever other parents do; ended steps are left as they are
-- but don't stop the cascade. The named steps get p_reason. Visits each step once per run. Returns the number skipped.
create or replace function pgflow._force_skip_steps(p_run_ids uuid[], p_step_slugs text[], p_reason text)
returns int
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_ids uuid[];
  v_step_slugs text[];
  v_reasons text[];
begin
  with recursive reached as (
    select r.run_id, r.flow_slug, named.step_slug, true as is_named
    from (
      select * from unnest(p_run_ids, p_step_slugs) as named (run_id, step_slug) limit cardinality(p_run_ids)
    ) as named
    join pgflow.runs r on r.run_id = named.run_id
    union
    select reached.run_id, reached.flow_slug, d.step_slug, false
    from reached
    join pgflow.deps d on d.flow_slug = reached.flow_slug and d.dep_slug = reached.step_slug
  ), members as (
    select run_id, flow_slug, step_slug, bool_or(is_named) as is_named
    from reached
    group by run_id, flow_slug, step_slug
  )
  select
    array_agg(m.run_id order by s.step_index, m.run_id),
    array_agg(m.step_slug order by s.step_index, m.run_id),
    array_agg(case when m.is_named then p_reason else 'dependency_skipped' end order by s.step_index, m.run_id)
  into v_run_ids, v_step_slugs, v_reasons
  from members m
  join pgflow.steps s on s.flow_slug = m.flow_slug and s.step_slug = m.step_slug;

  return pgflow._skip_steps(v_run_ids, v_step_slugs, v_reasons);
end
$$;
