create or replace function pgflow.create_flow(
  flow_slug text,
  max_attempts int default null,
  base_delay int default null,
  timeout int default null
)
returns pgflow.flows
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_flow pgflow.flows;
  v_rival text;
begin
  perform pgflow._lock_definition(create_flow.flow_slug);

  insert into pgflow.flows (flow_slug, opt_max_attempts, opt_base_delay, opt_timeout)
  values (
    create_flow.flow_slug,
    coalesce(create_flow.max_attempts, 3),
    coalesce(create_flow.base_delay, 5),
    coalesce(create_flow.timeout, 60)
  )
  on conflict on constraint flows_pkey do nothing;

  -- pgmq folds queue names to lower case: two such flows would swallow each other's messages.
  select f.flow_slug into v_rival
  from pgflow.flows f
  where lower(f.flow_slug) = lower(create_flow.flow_slug) and f.flow_slug <> create_flow.flow_slug;
  if found then
    raise exception 'Flow "%" would share its queue with flow "%", which differs only by case', create_flow.flow_slug, v_rival
      using hint = 'Choose a slug that differs in more than case.';
  end if;

  if not exists (select from pgmq.list_queues() q where q.queue_name = create_flow.flow_slug) then
    perform pgmq.create(create_flow.flow_slug);
    -- Every update of a message makes a dead entry in the index by visibility, where reading begins; what has been
    -- archived must go soon, however many messages wait for later.
    execute format(
      'alter table pgmq.%I set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)',
      pgmq.format_table_name(create_flow.flow_slug, 'q'));
  end if;

  select f.* into v_flow from pgflow.flows f where f.flow_slug = create_flow.flow_slug;
  return v_flow;
end
$$;
comment on function pgflow.create_flow(text, int, int, int) is 'Registers a flow with its default options (3 attempts, 5 s base delay, 60 s timeout) and its queue. A flow that exists is left as it is and returned.';
