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
      timeout int,
      base_delay int,
      attempts_before_retry int
    );
  end if;

  if to_regtype('pgflow.ended_run') is null then
    create type pgflow.ended_run as (
      run_id uuid,
      flow_slug text,
      status text,
      seconds double precision,
      error_message text
    );
  end if;

  if to_regtype('pgflow._demand') is null then
    create type pgflow._demand as (
      flow_slugs text[],
      worker_ids uuid[],
      task_limit int
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
comment on column pgflow.step_task_record.input is '{} for a single root step; the element for a task of a map; else an object of the completed parents'' outputs by slug.';
comment on column pgflow.step_task_record.msg_id is 'Its message in the queue of the flow.';
comment on column pgflow.step_task_record.flow_input is 'The run''s input for a single root step, else NULL.';
comment on type pgflow.started_task is 'A task handed to a worker by fetch_tasks: with its attempt, which its report must name, and its effective options.';
comment on column pgflow.started_task.input is 'As in pgflow.step_task_record.';
comment on column pgflow.started_task.flow_input is 'As in pgflow.step_task_record.';
comment on column pgflow.started_task.message_id is 'Its message in the queue of the flow.';
comment on column pgflow.started_task.attempt is 'Number of this attempt, from 1; its report names it.';
comment on column pgflow.started_task.max_attempts is 'Number of the last attempt allowed.';
comment on column pgflow.started_task.timeout is 'Seconds it may run.';
comment on column pgflow.started_task.base_delay is 'Seconds that backoff starts from.';
comment on column pgflow.started_task.attempts_before_retry is 'Attempts made before the run was last retried, from which backoff doesn''t count.';
comment on type pgflow.ended_run is 'A run that has completed or failed: what a worker is told about the runs that its reports have ended.';
comment on column pgflow.ended_run.status is 'completed or failed.';
comment on column pgflow.ended_run.seconds is 'From its start to its end.';
comment on column pgflow.ended_run.error_message is 'Why it failed: the error of the step that failed it.';
comment on type pgflow._demand is 'Who takes new tasks at once: a worker for each of some flows, and how many tasks they take together.';
comment on type pgflow._failure is 'A failure report and what _judge_failures makes of it.';
