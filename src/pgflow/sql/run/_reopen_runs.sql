-- Lets failed runs go on, under their locks: the steps that failed, those that were left in the middle, and skips that
-- followed from a failure are as they were before that. A step that has tasks is started, any other is created; what
-- has completed stays. Counters are counted anew.
create or replace function pgflow._reopen_runs(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_ids uuid[];
  v_step_slugs text[];
begin
  delete from pgflow.run_cancellations c where c.run_id = any (p_run_ids);

  select array_agg(reopened.run_id), array_agg(reopened.step_slug) into v_run_ids, v_step_slugs
  from (
    select undone.run_id, undone.step_slug from pgflow._skips_to_undo(p_run_ids) as undone
    union all
    select failed.run_id, failed.step_slug
    from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as retried
    cross join lateral (
      select state.run_id, state.step_slug
      from pgflow.step_states state
      where state.run_id = retried.run_id and state.status = 'failed'
      offset 0
    ) as failed
  ) as reopened;

  update pgflow.step_states ss
  set status = case when ss.started_at is null then 'created' else 'started' end,
      failed_at = null, skipped_at = null, skip_reason = null, error_message = null
  from (
    select * from unnest(v_run_ids, v_step_slugs) as reopened (run_id, step_slug) limit cardinality(v_run_ids)
  ) as reopened
  cross join lateral (
    select state.ctid as row_id
    from pgflow.step_states state
    where state.run_id = reopened.run_id and state.step_slug = reopened.step_slug
    offset 0
  ) as found
  where ss.ctid = found.row_id;

  -- A map whose parent runs again doesn't know the number of its tasks any more.
  update pgflow.step_states ss
  set remaining_deps = case
        when ss.status = 'skipped' then greatest(ss.remaining_deps, counted.open_parents)
        else counted.open_parents
      end,
      initial_tasks = case
        when ss.status = 'created' and counted.is_map and counted.open_parents > 0 then null
        else ss.initial_tasks
      end,
      remaining_tasks = case when ss.status = 'started' then counted.open_tasks else ss.remaining_tasks end
  from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as retried
  cross join lateral (
    select state.ctid as row_id, s.step_type = 'map' as is_map,
      (
        select count(*)
        from pgflow.deps d
        join pgflow.step_states parent on parent.run_id = state.run_id and parent.step_slug = d.dep_slug
        where d.flow_slug = state.flow_slug
          and d.step_slug = state.step_slug
          and parent.status not in ('completed', 'skipped')
      ) as open_parents,
      (
        select count(*)
        from pgflow.step_tasks t
        where state.status = 'started'
          and t.run_id = state.run_id
          and t.step_slug = state.step_slug
          and t.status <> 'completed'
      ) as open_tasks
    from pgflow.step_states state
    join pgflow.steps s on s.flow_slug = state.flow_slug and s.step_slug = state.step_slug
    where state.run_id = retried.run_id
    offset 0
  ) as counted
  where ss.ctid = counted.row_id;

  update pgflow.runs r
  set status = 'started', failed_at = null, remaining_steps = counted.open_steps
  from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as retried
  cross join lateral (
    select count(*) as open_steps
    from pgflow.step_states ss
    where ss.run_id = retried.run_id and ss.status not in ('completed', 'skipped')
    offset 0
  ) as counted
  cross join lateral (
    select run.ctid as row_id from pgflow.runs run where run.run_id = retried.run_id offset 0
  ) as found
  where r.ctid = found.row_id;
end
$$;
