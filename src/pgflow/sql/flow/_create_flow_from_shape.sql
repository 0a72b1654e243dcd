create or replace function pgflow._create_flow_from_shape(p_flow_slug text, p_shape jsonb)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_options jsonb := p_shape -> 'options';
  v_step jsonb;
begin
  perform pgflow.create_flow(
    p_flow_slug,
    (v_options ->> 'maxAttempts')::int,
    (v_options ->> 'baseDelay')::int,
    (v_options ->> 'timeout')::int
  );
  perform pgflow.set_flow_type(p_flow_slug, p_shape ->> 'flowType');

  for v_step in select element from jsonb_array_elements(coalesce(p_shape -> 'steps', '[]')) as element loop
    v_options := v_step -> 'options';
    perform pgflow.add_step(
      flow_slug => p_flow_slug,
      step_slug => v_step ->> 'slug',
      deps_slugs => array(select jsonb_array_elements_text(coalesce(v_step -> 'dependencies', '[]'))),
      max_attempts => (v_options ->> 'maxAttempts')::int,
      base_delay => (v_options ->> 'baseDelay')::int,
      timeout => (v_options ->> 'timeout')::int,
      start_delay => (v_options ->> 'startDelay')::int,
      step_type => coalesce(v_step ->> 'stepType', 'single'),
      required_input_pattern => pgflow._unwrap_pattern(v_step -> 'requiredInputPattern'),
      forbidden_input_pattern => pgflow._unwrap_pattern(v_step -> 'forbiddenInputPattern'),
      when_unmet => coalesce(v_step ->> 'whenUnmet', 'skip'),
      when_exhausted => coalesce(v_step ->> 'whenExhausted', 'fail')
    );
  end loop;
end
$$;
comment on function pgflow._create_flow_from_shape(text, jsonb) is 'Registers a flow and its steps as a shape describes them; keys that are absent take their defaults.';
