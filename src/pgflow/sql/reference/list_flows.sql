-- Columns that the core doesn't have are given the value that says what it does.
create or replace function pgflow.list_flows(p_flow_slugs text[] default null)
returns setof jsonb
language sql stable security definer
set search_path to pg_catalog, pg_temp
as $$
  select jsonb_build_object('flow_type', 'flow') || to_jsonb(f) || jsonb_build_object('steps', coalesce(
    (
      select jsonb_agg(
        jsonb_build_object(
          'required_input_pattern', null, 'forbidden_input_pattern', null, 'when_unmet', 'skip', 'when_exhausted', 'fail'
        ) || to_jsonb(s) || jsonb_build_object('dependencies', array(
          select d.dep_slug from pgflow.deps d where d.flow_slug = s.flow_slug and d.step_slug = s.step_slug order by 1
        ))
        order by s.step_index
      )
      from pgflow.steps s
      where s.flow_slug = f.flow_slug
    ),
    '[]'
  ))
  from pgflow.flows f
  where p_flow_slugs is null or f.flow_slug = any (p_flow_slugs)
  order by f.flow_slug
$$;
comment on function pgflow.list_flows(text[]) is 'The flows of these slugs (NULL: all), by slug: the columns of each with its steps, in their order, and their dependencies.';
