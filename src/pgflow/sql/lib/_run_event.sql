create or replace function pgflow._run_event(p_event_type text, p_run pgflow.runs)
returns jsonb
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'event_type', p_event_type,
    'run_id', p_run.run_id,
    'flow_slug', p_run.flow_slug,
    'status', p_run.status
  ) || case p_event_type
    when 'run:started' then jsonb_build_object(
      'input', p_run.input, 'remaining_steps', p_run.remaining_steps, 'started_at', p_run.started_at)
    when 'run:completed' then jsonb_build_object(
      'output', p_run.output, 'completed_at', p_run.completed_at)
    when 'run:failed' then jsonb_build_object(
      'failed_at', p_run.failed_at,
      'error_message', coalesce(
        (
          select pgflow._cancellation_message(c.reason)
          from pgflow.run_cancellations c
          where c.run_id = p_run.run_id
        ),
        (
          select ss.error_message
          from pgflow.step_states ss
          where ss.run_id = p_run.run_id and ss.status = 'failed'
          order by ss.failed_at desc
          limit 1
        )
      ))
  end;
$$;
