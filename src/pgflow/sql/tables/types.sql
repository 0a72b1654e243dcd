-- Rows that functions hand out, and rows that functions pass to each other.

do $$
begin
  if to_regtype('pgflow.step_task_record') is null then
    create type pgflow.step_task_record as (
      flow_slug text,
      run_id uuid,
      step_slug text,
      input jsonb,
      msg_id bigint,
      task_index int,
      flow_input jsonb
    );
  end if;

  if to_regtype('pgflow.started_task') is null then
    create type pgflow.started_task as (
      flow_slug text,
      run_id uuid,
      step_slug text,
      task_index int,
      input jsonb,
      flow_input jsonb,
      message_id bigint,
      attempt int,
      max_attempts int,
      timeout int
    );
  end if;

  if to_regtype('pgflow._failure') is null then
    create type pgflow._failure as (
      "position" int,
      flow_slug text,
      run_id uuid,
      step_slug text,
      task_index int,
      message_id bigint,
      error_message text,
      verdict text,
      retry_delay int
    );
  end if;
end
$$;
comment on type pgflow.step_task_record is 'A task handed to a worker by start_tasks.';
comment on type pgflow.started_task is 'A task handed to a worker by fetch_tasks: with its attempt, which its report must name, and its effective options.';
comment on type pgflow._failure is 'A failure report and what _judge_failures makes of it.';
