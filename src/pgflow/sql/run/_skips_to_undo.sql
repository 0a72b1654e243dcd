-- The skips that a retry takes back, of failed runs: of steps that were exhausted, as long as nothing behind them was
-- started, since that has counted on the skip; and the skips that followed from those. What an unmet condition or an
-- operator has skipped with everything behind it stays skipped.
create or replace function pgflow._skips_to_undo(p_run_ids uuid[])
returns table (run_id uuid, step_slug text)
language plpgsql stable
set search_path to pg_catalog, pg_temp
as $$
begin
  -- Nearly always there is nothing to find, which this finds out cheaply.
  if not exists (
    select
    from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as retried
    cross join lateral (
      select
      from pgflow.step_states ss
      where ss.run_id = retried.run_id and ss.status = 'skipped' and ss.skip_reason = 'handler_failed'
      offset 0
    ) as exhausted
  ) then
    return;
  end if;

  return query
    with recursive state as materialized (
      select found.*, s.when_unmet, s.when_exhausted
      from (select element.run_id from unnest(p_run_ids) as element (run_id) limit cardinality(p_run_ids)) as retried
      cross join lateral (
        select ss.run_id, ss.flow_slug, ss.step_slug, ss.status, ss.skip_reason, ss.started_at
        from pgflow.step_states ss
        where ss.run_id = retried.run_id
        offset 0
      ) as found
      join pgflow.steps s on s.flow_slug = found.flow_slug and s.step_slug = found.step_slug
    ), gone_on_without as (
      select state.run_id, d.flow_slug, d.dep_slug as step_slug
      from state
      join pgflow.deps d on d.flow_slug = state.flow_slug and d.step_slug = state.step_slug
      where state.started_at is not null
      union
      select behind.run_id, d.flow_slug, d.dep_slug
      from gone_on_without behind
      join pgflow.deps d on d.flow_slug = behind.flow_slug and d.step_slug = behind.step_slug
    ), following as (
      select state.run_id, state.flow_slug, state.step_slug
      from state
      left join gone_on_without g on g.run_id = state.run_id and g.step_slug = state.step_slug
      where state.status = 'skipped' and state.skip_reason = 'handler_failed' and g.run_id is null
      union
      select before.run_id, d.flow_slug, d.step_slug
      from following before
      join pgflow.deps d on d.flow_slug = before.flow_slug and d.dep_slug = before.step_slug
    ), kept as (
      select state.run_id, state.flow_slug, state.step_slug
      from state
      left join following f on f.run_id = state.run_id and f.step_slug = state.step_slug
      where state.status = 'skipped'
        and f.run_id is null
        and case state.skip_reason
          when 'condition_unmet' then state.when_unmet = 'skip-cascade'
          when 'handler_failed' then state.when_exhausted = 'skip-cascade'
          else state.skip_reason <> 'dependency_skipped'
        end
      union
      select before.run_id, d.flow_slug, d.step_slug
      from kept before
      join pgflow.deps d on d.flow_slug = before.flow_slug and d.dep_slug = before.step_slug
    )
    select state.run_id, state.step_slug
    from state
    join following f on f.run_id = state.run_id and f.step_slug = state.step_slug
    left join kept k on k.run_id = state.run_id and k.step_slug = state.step_slug
    where state.status = 'skipped' and k.run_id is null;
end
$$;
