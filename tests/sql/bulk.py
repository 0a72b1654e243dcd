"""Many runs at once: written straight into the tables, as the engine would have left them, without its cost."""

from __future__ import annotations

from sql.engine import FLOW, WORKER, Connection

RUNNING_SHARE = 10

_RUNS = """
    insert into pgflow.runs (run_id, flow_slug, status, input, output, remaining_steps, started_at, completed_at)
    select
      md5('run' || n)::uuid, %(flow)s, made.status, '{}',
      case when made.status = 'completed' then '{"b": 1}'::jsonb end,
      case when made.status = 'started' then 1 else 0 end,
      now() - interval '2 days',
      case when made.status = 'completed' then now() - interval '1 day' end
    from generate_series(1, %(count)s) as n,
    lateral (select case when n %% %(share)s = 0 then 'started' else 'completed' end as status) as made
"""

_STATES = """
    insert into pgflow.step_states (
      flow_slug, run_id, step_slug, status, remaining_tasks, initial_tasks, output,
      created_at, started_at, completed_at)
    select
      r.flow_slug, r.run_id, step.slug, made.status, case when made.status = 'started' then 1 else 0 end, 1,
      case when made.status = 'completed' then '1'::jsonb end,
      r.started_at, r.started_at, case when made.status = 'completed' then r.started_at end
    from pgflow.runs r
    cross join unnest(array['a', 'b']) as step (slug)
    cross join lateral (select case when step.slug = 'a' then 'completed' else r.status end as status) as made
    where r.flow_slug = %(flow)s
"""

_QUEUED_TASKS = """
    with sent as (
      insert into pgmq.q_flow (vt, message)
      select
        now() + interval '1 hour',
        jsonb_build_object('flow_slug', flow_slug, 'run_id', run_id, 'step_slug', step_slug, 'task_index', 0)
      from pgflow.step_states
      where flow_slug = %(flow)s and status = 'started'
      returning msg_id, message
    )
    insert into pgflow.step_tasks (flow_slug, run_id, step_slug, message_id)
    select %(flow)s, (message ->> 'run_id')::uuid, message ->> 'step_slug', msg_id
    from sent
"""

_COMPLETED_TASKS = """
    with archived as (
      insert into pgmq.a_flow (msg_id, read_ct, enqueued_at, vt, archived_at, message)
      select
        1000000000 + row_number() over (), 1, started_at, started_at, completed_at,
        jsonb_build_object('flow_slug', flow_slug, 'run_id', run_id, 'step_slug', step_slug, 'task_index', 0)
      from pgflow.step_states
      where flow_slug = %(flow)s and status = 'completed'
      returning msg_id, archived_at, message
    )
    insert into pgflow.step_tasks (
      flow_slug, run_id, step_slug, message_id, status, attempts_count, output, queued_at, started_at, completed_at,
      last_worker_id)
    select
      %(flow)s, (message ->> 'run_id')::uuid, message ->> 'step_slug', msg_id, 'completed', 1, '1',
      archived_at, archived_at, archived_at, %(worker)s
    from archived
"""


def insert_runs(superuser: Connection, count: int) -> None:
    """Insert so many runs of the flow a, b < a, with twice as many tasks, by a worker who is registered.

    One run in ten goes on: its second task is queued, and visible in an hour. References are not checked, which only a
    superuser may leave out.
    """
    with superuser.transaction():
        superuser.execute("set local session_replication_role = replica")
        for statement in (_RUNS, _STATES, _QUEUED_TASKS, _COMPLETED_TASKS):
            superuser.execute(statement, {"flow": FLOW, "worker": WORKER, "count": count, "share": RUNNING_SHARE})
