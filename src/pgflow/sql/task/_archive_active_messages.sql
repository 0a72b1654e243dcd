-- Archives the messages of all tasks, queued or started, of runs, or of some of their steps. The tasks are locked
-- before their messages, as everybody does, and keep their status.
create or replace function pgflow._archive_active_messages(p_run_ids uuid[], p_step_slugs text[] default null)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_flow_slugs text[];
  v_message_ids bigint[];
begin
  with active as (
    select t.flow_slug, t.message_id
    from pgflow.step_tasks t
    join (
      select distinct run_id, step_slug
      from unnest(p_run_ids, p_step_slugs) as ended (run_id, step_slug)
      limit cardinality(p_run_ids)
    ) as ended on ended.run_id = t.run_id and coalesce(ended.step_slug, t.step_slug) = t.step_slug
    where t.status in ('queued', 'started') and t.message_id is not null
    order by t.run_id, t.step_slug, t.task_index
    for no key update of t
  )
  select array_agg(flow_slug), array_agg(message_id) into v_flow_slugs, v_message_ids from active;

  if v_message_ids is not null then
    perform pgflow._archive_messages(v_flow_slugs, v_message_ids);
  end if;
end
$$;
