create or replace function pgflow.complete_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_outputs jsonb[],
  p_attempts int[]
)
returns int[]
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select pgflow._complete_tasks(p_run_ids, p_step_slugs, p_task_indexes, p_outputs, p_attempts);
$$;
comment on function pgflow.complete_tasks(uuid[], text[], int[], jsonb[], int[]) is 'Reports a batch of completed tasks, each with the attempt it belongs to (NULL: whatever attempt it is). Returns the positions, from 1, of the reports that counted.';
