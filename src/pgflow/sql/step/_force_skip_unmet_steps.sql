-- The mode skip-cascade: the ready steps whose condition is unmet are skipped with everything behind them.
create or replace function pgflow._force_skip_unmet_steps(p_run_ids uuid[])
returns void
language plpgsql
set search_path to pg_catalog, pg_temp
as $$
declare
  v_run_ids uuid[];
  v_step_slugs text[];
begin
  select array_agg(run_id order by step_index, run_id), array_agg(step_slug order by step_index, run_id)
  into v_run_ids, v_step_slugs
  from pgflow._unmet_steps(p_run_ids)
  where when_unmet = 'skip-cascade';

  if v_run_ids is not null then
    perform pgflow._force_skip_steps(v_run_ids, v_step_slugs, 'condition_unmet');
  end if;
end
$$;
