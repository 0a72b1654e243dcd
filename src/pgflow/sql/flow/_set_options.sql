-- Gives a flow and its steps the options of a shape; they count from the next attempt on.
create or replace function pgflow._set_options(p_flow_slug text, p_shape jsonb)
returns void
language sql
set search_path to pg_catalog, pg_temp
as $$
  update pgflow.flows f
  set opt_max_attempts = coalesce((p_shape -> 'options' ->> 'maxAttempts')::int, f.opt_max_attempts),
      opt_base_delay = coalesce((p_shape -> 'options' ->> 'baseDelay')::int, f.opt_base_delay),
      opt_timeout = coalesce((p_shape -> 'options' ->> 'timeout')::int, f.opt_timeout)
  where f.flow_slug = p_flow_slug;

  update pgflow.steps s
  set opt_max_attempts = (step -> 'options' ->> 'maxAttempts')::int,
      opt_base_delay = (step -> 'options' ->> 'baseDelay')::int,
      opt_timeout = (step -> 'options' ->> 'timeout')::int,
      opt_start_delay = (step -> 'options' ->> 'startDelay')::int
  from jsonb_array_elements(p_shape -> 'steps') as step
  where s.flow_slug = p_flow_slug and s.step_slug = step ->> 'slug';
$$;
