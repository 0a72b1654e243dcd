-- Remembers skipped steps for exchange_tasks, which tells its worker about them, if this transaction is one: it sets
-- pgflow.skipped_steps to an empty array before. The setting ends with the transaction.
create or replace function pgflow._note_skipped_steps(p_run_ids uuid[], p_step_slugs text[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_noted text := nullif(current_setting('pgflow.skipped_steps', true), '');
begin
  if v_noted is null then
    return;
  end if;

  perform set_config('pgflow.skipped_steps', (v_noted::jsonb || jsonb_agg(to_jsonb(step) order by "position"))::text, true)
  from unnest(p_run_ids, p_step_slugs) with ordinality as skipped (run_id, step_slug, "position")
  cross join lateral (
    select ss.run_id, ss.flow_slug, ss.step_slug, ss.skip_reason
    from pgflow.step_states ss
    where ss.run_id = skipped.run_id and ss.step_slug = skipped.step_slug
    offset 0
  ) as step;
end
$$;
