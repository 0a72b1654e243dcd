create or replace function pgflow.set_flow_type(p_flow_slug text, p_flow_type text)
returns void
language sql
set search_path to pg_catalog, pg_temp
as $$
  update pgflow.flows f
  set flow_type = p_flow_type
  where f.flow_slug = p_flow_slug and f.flow_type <> p_flow_type;
$$;
comment on function pgflow.set_flow_type(text, text) is 'Says whether a flow is a flow or a job: one step that is put into a queue and worked. They are run alike; listings tell them apart.';
