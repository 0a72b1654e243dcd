"""One constructor per SQL function: the statement, its arguments, and how its rows become values. No I/O.

A :class:`Call` runs on any psycopg connection::

    call = calls.get_run_with_states(run_id)
    rows = connection.execute(call.sql, call.arguments).fetchall()
    run, steps = call.decode(rows)

Other drivers run it as well: those with numbered parameters take ``call.numbered()``. JSON crosses as text in both
directions, whole rows included, so that values don't depend on what a driver or a connection makes of types.
"""

from pgflow.calls.call import Call
from pgflow.calls.flows import compare_flow, ensure_flow_compiled
from pgflow.calls.runs import (
    get_run,
    get_run_input,
    get_run_statuses,
    get_run_with_states,
    get_step_progress,
    start_flow,
    start_flows,
)
from pgflow.calls.tasks import (
    Exchanged,
    complete_tasks,
    exchange_tasks,
    fail_tasks,
    fetch_tasks,
    release_lost_tasks,
    release_tasks,
    requeue_stalled_tasks,
)
from pgflow.calls.workers import (
    extend_leases,
    get_queue_depths,
    keep_alive,
    mark_worker_stopped,
    recover_tasks,
    register_worker,
    stop_workers,
)

__all__ = [
    "Call",
    "Exchanged",
    "compare_flow",
    "complete_tasks",
    "ensure_flow_compiled",
    "exchange_tasks",
    "extend_leases",
    "fail_tasks",
    "fetch_tasks",
    "get_queue_depths",
    "get_run",
    "get_run_input",
    "get_run_statuses",
    "get_run_with_states",
    "get_step_progress",
    "keep_alive",
    "mark_worker_stopped",
    "recover_tasks",
    "register_worker",
    "release_lost_tasks",
    "release_tasks",
    "requeue_stalled_tasks",
    "start_flow",
    "start_flows",
    "stop_workers",
]
