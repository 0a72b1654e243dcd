-- What a starter or a worker may call, all overloads of a name. The rest is the owner's. All of these run with the
-- rights of the owner, so that nobody needs a right on a table; runs are found by their id only, which can't be guessed.
create or replace function pgflow._functions_of_role(p_kind text)
returns setof regprocedure
language sql stable
set search_path to pg_catalog, pg_temp
as $$
  select p.oid::regprocedure
  from pg_proc p
  where p.pronamespace = 'pgflow'::regnamespace
    and (
      p.proname in (
        'start_flows',
        'start_flow_with_states',
        'start_runs',
        'get_run_by_key',
        'get_run_tags',
        'seconds_until',
        'get_run',
        'get_run_statuses',
        'get_runs_if_ended',
        'get_run_with_states',
        'describe_run',
        'get_flow_input',
        'get_step_output',
        'get_step_progress',
        'register_listener',
        'unregister_listener'
      )
      -- Who works tasks has no say in what becomes of runs.
      or p_kind = 'starter' and p.proname in ('cancel_runs', 'retry_runs')
      -- A worker may start runs too: handlers do.
      or p_kind = 'worker' and p.proname in (
        'compare_flow',
        'flow_exists',
        'list_flows',
        'register_worker',
        'keep_alive',
        'stop_workers',
        'fetch_tasks',
        'complete_tasks',
        'fail_tasks',
        'release_tasks',
        'release_lost_tasks',
        'exchange_tasks',
        'extend_leases',
        'get_queue_depths',
        'recover_tasks',
        'requeue_stalled_tasks',
        'recover_stalled_tasks',
        'fail_stalled_tasks'
      )
    )
  order by p.oid::regprocedure::text;
$$;
