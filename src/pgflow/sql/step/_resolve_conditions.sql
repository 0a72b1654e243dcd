-- Settles every ready step whose condition is unmet, by its mode, until no plain skip makes another one ready.
-- In each round failing wins over skipping. Each round with a skip ends at least one step, so the rounds end.
create or replace function pgflow._resolve_conditions(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_ids uuid[];
  v_step_slugs text[];
begin
  loop
    exit when not exists (select from pgflow._unmet_steps(p_run_ids));

    select array_agg(first.run_id order by first.run_id), array_agg(first.step_slug order by first.run_id)
    into v_run_ids, v_step_slugs
    from (
      select distinct on (run_id) run_id, step_slug
      from pgflow._unmet_steps(p_run_ids)
      where when_unmet = 'fail'
      order by run_id, step_index
    ) as first;
    if v_run_ids is not null then
      perform pgflow._fail_runs(
        v_run_ids, v_step_slugs, array_fill('Condition not met'::text, array[cardinality(v_run_ids)]));
    end if;

    select array_agg(run_id order by step_index, run_id), array_agg(step_slug order by step_index, run_id)
    into v_run_ids, v_step_slugs
    from pgflow._unmet_steps(p_run_ids)
    where when_unmet = 'skip';
    if v_run_ids is not null then
      perform pgflow._skip_steps(
        v_run_ids, v_step_slugs, array_fill('condition_unmet'::text, array[cardinality(v_run_ids)]));
      perform pgflow._release_children(v_run_ids, v_step_slugs);
    end if;

    perform pgflow._force_skip_unmet_steps(p_run_ids);
    exit when v_run_ids is null;
  end loop;
end
$$;
