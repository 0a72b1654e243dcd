-- Builds the payloads of one kind of event from the rows as they are now, and emits them in the order of the arrays.
-- p_event_type is run:started, …, step:skipped; p_step_slugs runs parallel to p_run_ids for step events.
create or replace function pgflow._emit_events(p_event_type text, p_run_ids uuid[], p_step_slugs text[] default null)
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
begin
  -- Payloads carry whole inputs and outputs: nothing is built that nobody receives.
  if to_regnamespace('realtime') is null or to_regprocedure('realtime.send(jsonb,text,text,boolean)') is null then
    return;
  end if;

  if p_step_slugs is null then
    perform pgflow._emit_event(
      pgflow._run_event(p_event_type, found.run), p_event_type, 'pgflow:run:' || changed.run_id)
    from unnest(p_run_ids) with ordinality as changed (run_id, "position")
    cross join lateral (select r as run from pgflow.runs r where r.run_id = changed.run_id offset 0) as found
    order by changed."position";
  else
    perform pgflow._emit_event(
      pgflow._step_event(p_event_type, found.state),
      'step:' || changed.step_slug || ':' || (found.state).status,
      'pgflow:run:' || changed.run_id
    )
    from unnest(p_run_ids, p_step_slugs) with ordinality as changed (run_id, step_slug, "position")
    cross join lateral (
      select ss as state
      from pgflow.step_states ss
      where ss.run_id = changed.run_id and ss.step_slug = changed.step_slug
      offset 0
    ) as found
    order by changed."position";
  end if;
end
$$;
