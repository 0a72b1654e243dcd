-- Reports a batch through the core's own functions. A report counts if its task is in the attempt that it belongs to, as
-- seen under the lock of its run. A final failure uses up the attempts that are left, which is all that such a core offers.
create or replace function pgflow._report_tasks(
  p_run_ids uuid[],
  p_step_slugs text[],
  p_task_indexes int[],
  p_attempts int[],
  p_outputs jsonb[],
  p_error_messages text[],
  p_final boolean[],
  p_retry_delays int[]
)
returns table (recorded int[], going_on uuid[], delayed_count bigint)
language sql security definer
set search_path to pg_catalog, pg_temp
as $$
  with report as materialized (
    select distinct on (r.run_id, r.step_slug, r.task_index, r.attempt) r.*
    from unnest(
      p_run_ids, p_step_slugs, p_task_indexes, p_attempts, p_outputs, p_error_messages, p_final, p_retry_delays
    ) with ordinality as r (
      run_id, step_slug, task_index, attempt, output, error_message, is_final, retry_delay, "position"
    )
    order by r.run_id, r.step_slug, r.task_index, r.attempt, r."position"
  ), run as materialized (
    select r.run_id
    from pgflow.runs r
    where r.run_id in (select report.run_id from report) and r.status = 'started'
    order by r.run_id
    for update
  ), counting as materialized (
    select report.*, t.flow_slug, t.message_id
    from report
    join pgflow.step_tasks t
      on t.run_id = report.run_id and t.step_slug = report.step_slug and t.task_index = report.task_index
    where t.run_id = any (array(select run.run_id from run))
      and t.status = 'started'
      and t.attempts_count = report.attempt
    order by t.run_id, t.step_slug, t.task_index
    for no key update of t
  ), exhausted as (
    update pgflow.step_tasks t
    set attempts_count = greatest(t.attempts_count, coalesce(s.opt_max_attempts, f.opt_max_attempts))
    from counting
    join pgflow.flows f on f.flow_slug = counting.flow_slug
    join pgflow.steps s on s.flow_slug = counting.flow_slug and s.step_slug = counting.step_slug
    where counting.error_message is not null
      and counting.is_final
      and t.run_id = counting.run_id
      and t.step_slug = counting.step_slug
      and t.task_index = counting.task_index
    returning t.run_id
  ), completion as materialized (
    select counting.* from counting where counting.error_message is null order by counting."position"
  ), completed as materialized (
    select completion."position", answer.status
    from completion
    left join lateral pgflow.complete_task(
      completion.run_id, completion.step_slug, completion.task_index, completion.output
    ) as answer on true
  ), failure as materialized (
    select counting.*
    from counting
    where counting.error_message is not null
      and (select count(*) from exhausted) >= 0 and (select count(*) from completed) >= 0
    order by counting."position"
  ), failed as materialized (
    select failure."position", failure.flow_slug, failure.message_id, failure.retry_delay, answer.status
    from failure
    left join lateral pgflow.fail_task(
      failure.run_id, failure.step_slug, failure.task_index, failure.error_message
    ) as answer on true
  ), delayed as materialized (
    select failed."position"
    from failed
    cross join lateral pgmq.set_vt(failed.flow_slug, failed.message_id, failed.retry_delay) as message
    where failed.status = 'queued' and failed.retry_delay is not null
  )
  select
    coalesce(array_agg(answered."position"::int order by answered."position"), '{}'),
    array(select run.run_id from run),
    (select count(*) from delayed)
  from (
    select completed."position", completed.status from completed
    union all
    select failed."position", failed.status from failed
  ) as answered
  where answered.status is distinct from 'started'
$$;
comment on function pgflow._report_tasks(uuid[], text[], int[], int[], jsonb[], text[], boolean[], int[]) is 'Reports outcomes, each with the attempt it belongs to, as pgflow.exchange_tasks takes them. Returns the positions, from 1, of those that counted, and the runs that went on before.';
