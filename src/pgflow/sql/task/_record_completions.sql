-- Records the outputs of tasks and completes the steps that this ends, under the locks of runs and tasks: p_row_ids and
-- p_flow_slugs are what _lock_reported gave. The arrays run parallel; an attempt that is NULL isn't compared. Reports that
-- are late, repeated or for another attempt change nothing. With p_starts, children that become ready are started with
-- their release, where no condition may say otherwise.
-- Returns the positions, from 1, of the reports that were recorded; the runs that are to be advanced after a step
-- completed; the steps that were started and have no tasks yet; and the runs that have ended. NULLs for none.
create or replace function pgflow._record_completions(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_outputs jsonb[],
  p_attempts int[],
  p_row_ids tid[],
  p_flow_slugs text[],
  p_starts boolean default true,
  out recorded int[],
  out run_ids uuid[],
  out started_run_ids uuid[],
  out started_step_slugs text[],
  out ended_runs pgflow.ended_run[]
)
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_defined record;
  v_violations int[] := '{}'::int[];
  v_row_ids tid[] := p_row_ids;
  v_completed record;
  v_released record;
  v_ended record;
begin
  -- What the definitions of these steps make necessary: most steps need none of it.
  select
    coalesce(bool_or(s.step_type = 'map'), false) as has_maps,
    coalesce(bool_or(child.step_type is not null), false) as has_children,
    coalesce(bool_or(child.step_type = 'map' and step.has_other_than_array), false) as may_violate,
    coalesce(bool_or(exists (
      select from pgflow.steps other
      where other.flow_slug = step.flow_slug
        and (other.required_input_pattern is not null or other.forbidden_input_pattern is not null)
    )), false) as has_conditions
  into v_defined
  from (
    select flow_slug, step_slug, bool_or(jsonb_typeof(output) is distinct from 'array') as has_other_than_array
    from unnest(p_flow_slugs, p_step_slugs, p_outputs) as report (flow_slug, step_slug, output)
    group by flow_slug, step_slug
    limit cardinality(p_run_ids)
  ) as step
  join pgflow.steps s on s.flow_slug = step.flow_slug and s.step_slug = step.step_slug
  left join pgflow.deps d on d.flow_slug = step.flow_slug and d.dep_slug = step.step_slug
  left join pgflow.steps child on child.flow_slug = d.flow_slug and child.step_slug = d.step_slug;

  if v_defined.may_violate then
    v_violations := pgflow._fail_type_violations(p_run_ids, p_step_slugs, p_task_indexes, p_outputs, p_attempts);
    if v_violations <> '{}' then
      select reported.row_ids into v_row_ids
      from pgflow._lock_reported(p_run_ids, p_step_slugs, p_task_indexes) as reported;
      ended_runs := pgflow._ended_runs(array(select p_run_ids[number] from unnest(v_violations) as number));
    end if;
  end if;

  select * into v_completed
  from pgflow._complete_tasks_and_steps(p_run_ids, p_step_slugs, p_outputs, p_attempts, v_row_ids, v_defined.has_maps);
  recorded := v_violations || coalesce(v_completed.recorded, '{}');
  if v_completed.message_ids is not null then
    perform pgflow._archive_messages(v_completed.flow_slugs, v_completed.message_ids);
  end if;
  if cardinality(recorded) < cardinality(p_run_ids) then
    perform pgflow._archive_reported(p_run_ids, p_step_slugs, p_task_indexes);
  end if;

  if v_completed.run_ids is not null then
    if v_defined.has_children then
      select * into v_released
      from pgflow._release_children(v_completed.run_ids, v_completed.step_slugs, p_starts and not v_defined.has_conditions);
      started_run_ids := v_released.started_run_ids;
      started_step_slugs := v_released.started_step_slugs;
      run_ids := v_released.ready_run_ids;
    end if;
    select * into v_ended from pgflow._end_steps_of_runs(v_completed.run_ids);
    perform pgflow._emit_events('step:completed', v_completed.run_ids, v_completed.step_slugs);
    if v_ended.completed is not null then
      perform pgflow._emit_events('run:completed', v_ended.completed);
    end if;
    perform pgflow._notify_runs(v_completed.run_ids);
    ended_runs := ended_runs || v_ended.ended_runs;
  end if;
end
$$;
