-- Skips steps that are created or started, each with its reason; the others are left as they are. Their messages leave
-- the queue, their tasks keep their status. What comes behind them is the caller's business. Returns their number.
create or replace function pgflow._skip_steps(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_reasons text[],
  p_error_messages text[] default null
)
returns int
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_ids uuid[];
  v_step_slugs text[];
begin
  with skipped as (
    update pgflow.step_states ss
    set status = 'skipped',
        skip_reason = skipping.reason,
        error_message = coalesce(skipping.error_message, ss.error_message),
        skipped_at = greatest(pgflow._now(), ss.created_at),
        remaining_tasks = null
    from (
      select *
      from unnest(p_run_ids, p_step_slugs, p_reasons, p_error_messages) with ordinality
        as skipping (run_id, step_slug, reason, error_message, "position")
      limit cardinality(p_run_ids)
    ) as skipping
    where ss.run_id = skipping.run_id
      and ss.step_slug = skipping.step_slug
      and ss.status in ('created', 'started')
    returning ss.run_id, ss.step_slug, skipping."position"
  )
  select array_agg(run_id order by "position"), array_agg(step_slug order by "position")
  into v_run_ids, v_step_slugs
  from skipped;

  if v_run_ids is null then
    return 0;
  end if;

  perform pgflow._count_down_runs(v_run_ids);
  perform pgflow._emit_events('step:skipped', v_run_ids, v_step_slugs);
  perform pgflow._note_skipped_steps(v_run_ids, v_step_slugs);
  perform pgflow._archive_active_messages(v_run_ids, v_step_slugs);
  return cardinality(v_run_ids);
end
$$;
