-- What becomes of messages of a queue that were read while their task wasn't started. Those that nothing will ever be done
-- about are archived, since they would be read again and again: their task has ended or is gone, or its step or run has
-- ended. The others, whose task somebody else works on, stay away for p_seconds.
create or replace function pgflow._put_off_messages(p_flow_slug text, p_message_ids bigint[], p_seconds int)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
set plan_cache_mode to force_generic_plan
as $$
declare
  v_orphans bigint[];
  v_others bigint[];
begin
  select
    array_agg(message.message_id) filter (where task.goes_on is null),
    array_agg(message.message_id) filter (where task.goes_on)
  into v_orphans, v_others
  from unnest(p_message_ids) as message (message_id)
  left join lateral (
    select true as goes_on
    from pgflow.step_tasks t
    join pgflow.step_states ss on ss.run_id = t.run_id and ss.step_slug = t.step_slug and ss.status = 'started'
    join pgflow.runs r on r.run_id = t.run_id and r.status = 'started'
    where t.flow_slug = p_flow_slug and t.message_id = message.message_id and t.status in ('queued', 'started')
    offset 0
  ) as task on true;

  if v_others is not null then
    perform pgflow._set_visibility(
      array_fill(p_flow_slug, array[cardinality(v_others)]), v_others, array_fill(p_seconds, array[cardinality(v_others)]));
  end if;
  if v_orphans is not null then
    perform pgflow._archive_messages(array_fill(p_flow_slug, array[cardinality(v_orphans)]), v_orphans);
  end if;
end
$$;
