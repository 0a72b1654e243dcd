-- What follows from failures that their tasks have recorded. Returns the runs in which a step was skipped, or NULL.
create or replace function pgflow._apply_failures(p_failures pgflow._failure[])
returns uuid[]
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_failing record;
  v_skipping record;
  v_cascading record;
begin
  select array_agg(run_id) as run_ids, array_agg(step_slug) as step_slugs, array_agg(error_message) as error_messages
  into v_failing
  from unnest(p_failures) as failure
  where verdict = 'fail';
  if v_failing.run_ids is not null then
    perform pgflow._fail_runs(v_failing.run_ids, v_failing.step_slugs, v_failing.error_messages);
  end if;

  select array_agg(run_id) as run_ids, array_agg(step_slug) as step_slugs, array_agg(error_message) as error_messages
  into v_skipping
  from unnest(p_failures) as failure
  where verdict in ('skip', 'skip-cascade');
  if v_skipping.run_ids is not null then
    perform pgflow._skip_steps(
      v_skipping.run_ids, v_skipping.step_slugs,
      array_fill('handler_failed'::text, array[cardinality(v_skipping.run_ids)]), v_skipping.error_messages);
  end if;

  select
    array_agg(run_id) filter (where verdict = 'skip-cascade') as run_ids,
    array_agg(step_slug) filter (where verdict = 'skip-cascade') as step_slugs,
    array_agg(run_id) filter (where verdict = 'skip') as released_run_ids,
    array_agg(step_slug) filter (where verdict = 'skip') as released_step_slugs
  into v_cascading
  from unnest(p_failures) as failure;
  if v_cascading.run_ids is not null then
    perform pgflow._force_skip_steps(v_cascading.run_ids, v_cascading.step_slugs, 'dependency_skipped');
  end if;
  if v_cascading.released_run_ids is not null then
    perform pgflow._release_children(v_cascading.released_run_ids, v_cascading.released_step_slugs);
  end if;

  perform pgflow._return_or_archive(p_failures);
  return v_skipping.run_ids;
end
$$;
