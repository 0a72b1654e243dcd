-- Tells the children of steps that completed or were plainly skipped: fewer parents to wait for, and, for a map, how
-- many tasks it gets.
create or replace function pgflow._release_children(p_run_ids uuid[], p_step_slugs text[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  update pgflow.step_states child
  set remaining_deps = child.remaining_deps - ended.parent_count,
      initial_tasks = case when ended.is_map then coalesce(ended.task_count, child.initial_tasks, ended.output_length)
                           else child.initial_tasks end
  from (
    select ss.run_id, d.step_slug, count(*) as parent_count, bool_or(c.step_type = 'map') as is_map,
      -- A map has one parent, so the aggregates below are over one row where they matter.
      max(case when ss.status = 'skipped' or ss.initial_tasks = 0 then 0 end) as task_count,
      max(case
        when c.step_type <> 'map' then null
        when p.step_type = 'map' then ss.initial_tasks
        when jsonb_typeof(ss.output) = 'array' then jsonb_array_length(ss.output)
      end) as output_length
    from (
      select * from unnest(p_run_ids, p_step_slugs) as parent (run_id, step_slug) limit cardinality(p_run_ids)
    ) as parent
    cross join lateral (
      select state.*
      from pgflow.step_states state
      where state.run_id = parent.run_id and state.step_slug = parent.step_slug
      offset 0
    ) as ss
    join pgflow.steps p on p.flow_slug = ss.flow_slug and p.step_slug = ss.step_slug
    join pgflow.deps d on d.flow_slug = ss.flow_slug and d.dep_slug = ss.step_slug
    join pgflow.steps c on c.flow_slug = d.flow_slug and c.step_slug = d.step_slug
    group by ss.run_id, d.step_slug
    limit cardinality(p_run_ids) + 2147483647::bigint  -- no limit: each parent may have many children
  ) as ended
  cross join lateral (
    select state.ctid as row_id
    from pgflow.step_states state
    where state.run_id = ended.run_id and state.step_slug = ended.step_slug
    offset 0
  ) as found
  where child.ctid = found.row_id;
end
$$;
