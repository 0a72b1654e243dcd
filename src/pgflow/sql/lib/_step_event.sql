create or replace function pgflow._step_event(p_event_type text, p_state pgflow.step_states)
returns jsonb
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'event_type', p_event_type,
    'run_id', p_state.run_id,
    'flow_slug', p_state.flow_slug,
    'step_slug', p_state.step_slug,
    'status', p_state.status
  ) || case p_event_type
    when 'step:started' then jsonb_build_object(
      'started_at', p_state.started_at,
      'remaining_tasks', p_state.remaining_tasks,
      'remaining_deps', p_state.remaining_deps)
    when 'step:completed' then jsonb_build_object(
      'output', p_state.output,
      'started_at', p_state.started_at,
      'completed_at', p_state.completed_at,
      'remaining_tasks', p_state.remaining_tasks,
      'remaining_deps', p_state.remaining_deps)
    when 'step:failed' then jsonb_build_object(
      'error_message', p_state.error_message, 'failed_at', p_state.failed_at)
    when 'step:skipped' then jsonb_build_object(
      'skip_reason', p_state.skip_reason,
      'error_message', p_state.error_message,
      'skipped_at', p_state.skipped_at)
  end;
$$;
