create or replace function pgflow.fail_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_error_messages text[],
  p_attempts int[],
  p_final boolean[] default null,
  p_retry_delays int[] default null
)
returns int[]
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  select pgflow._fail_tasks(p_run_ids, p_step_slugs, p_task_indexes, p_error_messages, p_attempts, p_final, p_retry_delays);
$$;
comment on function pgflow.fail_tasks(uuid[], text[], int[], text[], int[], boolean[], int[]) is 'Reports a batch of failed tasks, each with the attempt it belongs to (NULL: whatever attempt it is). A failure marked final is not retried whatever attempts are left; a retry delay, in seconds, takes the place of the formula. Returns the positions, from 1, of the reports that counted.';
