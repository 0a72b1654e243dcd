-- Tells the children of steps that completed or were plainly skipped: fewer parents to wait for, and, for a map, how
-- many tasks it gets. With p_starts, those that are ready and have tasks are started in the same update; the caller knows
-- that their flows have no conditions, and makes their tasks.
-- Returns the steps it started, and the runs that have others that are ready, or NULLs.
create or replace function pgflow._release_children(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_starts boolean default false,
  out started_run_ids uuid[],
  out started_step_slugs text[],
  out ready_run_ids uuid[]
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  with changed as (
    update pgflow.step_states child
    set remaining_deps = child.remaining_deps - ended.parent_count,
        initial_tasks = found.tasks,
        remaining_tasks = case when found.starts then found.tasks else child.remaining_tasks end,
        status = case when found.starts then 'started' else child.status end,
        started_at = case when found.starts then greatest(pgflow._now(), child.created_at) else child.started_at end
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
      select state.ctid as row_id, counted.tasks,
        state.status = 'created' and state.remaining_deps = ended.parent_count as is_ready,
        p_starts and state.status = 'created' and state.remaining_deps = ended.parent_count and counted.tasks > 0 as starts
      from pgflow.step_states state
      cross join lateral (
        select case when ended.is_map then coalesce(ended.task_count, state.initial_tasks, ended.output_length)
                    else state.initial_tasks end
      ) as counted (tasks)
      where state.run_id = ended.run_id and state.step_slug = ended.step_slug
      offset 0
    ) as found
    where child.ctid = found.row_id
    returning child.run_id, child.step_slug, found.is_ready, coalesce(found.starts, false) as starts
  )
  select
    array_agg(run_id order by step_slug, run_id) filter (where starts),
    array_agg(step_slug order by step_slug, run_id) filter (where starts),
    array_agg(distinct run_id) filter (where is_ready and not starts)
  into started_run_ids, started_step_slugs, ready_run_ids
  from changed;
end
$$;
