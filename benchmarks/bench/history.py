"""Many finished runs of this project's flow, as if they had been worked: for measuring how size slows it down."""

from __future__ import annotations

from bench.servers import Postgres

_FLOW = "bench_job"
_FINISHED = """
create temporary table finished as
  select i as number, gen_random_uuid() as run_id from generate_series(1, %(count)s::int) i;
insert into pgflow.runs (run_id, flow_slug, status, input, output, remaining_steps, started_at, completed_at)
  select run_id, %(flow)s, 'completed', to_jsonb(number), '{"only": 1}', 0, now(), now() from finished;
insert into pgflow.step_states (flow_slug, run_id, step_slug, status, remaining_tasks, initial_tasks, remaining_deps,
                                output, created_at, started_at, completed_at)
  select %(flow)s, run_id, 'only', 'completed', 0, 1, 0, '1', now(), now(), now() from finished;
insert into pgflow.step_tasks (flow_slug, run_id, step_slug, message_id, task_index, status, attempts_count, output,
                               queued_at, started_at, completed_at)
  select %(flow)s, run_id, 'only', number, 0, 'completed', 1, '1', now(), now(), now() from finished;
insert into pgmq.a_bench_job (msg_id, read_ct, enqueued_at, vt, message)
  select number, 1, now(), now(), jsonb_build_object('flow_slug', %(flow)s::text, 'run_id', run_id,
                                                       'step_slug', 'only', 'task_index', 0) from finished;
select setval(pg_get_serial_sequence('pgmq.q_bench_job', 'msg_id'), %(count)s::int);
drop table finished;
"""


def add_finished(server: Postgres, database: str, count: int) -> None:
    """Add finished runs of the flow of one step, each with its task and its archived message, and let them settle."""
    with server.superuser(database) as connection:
        for statement in _FINISHED.split(";\n"):
            if statement.strip():
                connection.execute(statement.encode(), {"count": count, "flow": _FLOW})
        connection.execute("vacuum analyze")


def delay_all(server: Postgres, database: str) -> None:
    """Make all messages that wait invisible until tomorrow."""
    with server.superuser(database) as connection:
        connection.execute("update pgmq.q_bench_job set vt = clock_timestamp() + interval '1 day'")
        connection.execute("vacuum analyze")
