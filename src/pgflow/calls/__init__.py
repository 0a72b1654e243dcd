"""One constructor per SQL function: the statement, its arguments, and how its rows become values. No I/O.

A :class:`Call` runs on any psycopg connection::

    call = calls.get_run_with_states(run_id)
    rows = connection.execute(call.sql, call.arguments).fetchall()
    run, steps = call.decode(rows)

Other drivers run it as well: those with numbered parameters take ``call.numbered()``. JSON crosses as text in both
directions, whole rows included, so that values don't depend on what a driver or a connection makes of types.
"""

from pgflow.calls.call import Call
from pgflow.calls.flows import (
    add_step,
    compare_flow,
    create_flow,
    delete_flow_and_data,
    ensure_flow_compiled,
    flow_exists,
    is_valid_slug,
    list_flows,
    set_flow_type,
    upsert_flow,
)
from pgflow.calls.listeners import register_listener, unregister_listener
from pgflow.calls.maintenance import fail_stalled_tasks, prune_data_older_than, recover_stalled_tasks
from pgflow.calls.repairs import (
    cascade_complete_taskless_steps,
    cascade_resolve_conditions,
    grant_starter,
    grant_worker,
    maybe_complete_run,
    revoke_grants,
    start_ready_steps,
)
from pgflow.calls.runs import (
    RunFilters,
    count_runs,
    delay_run,
    get_flow_input,
    get_run,
    get_run_statuses,
    get_run_with_states,
    get_step_output,
    get_step_progress,
    list_runs,
    list_tasks,
    seconds_until,
    start_flow,
    start_flow_with_states,
    start_flows,
)
from pgflow.calls.single_tasks import (
    Message,
    TaskRecord,
    calculate_retry_delay,
    complete_task,
    delete_message,
    fail_task,
    poll_for_tasks,
    read,
    set_vt_batch,
    start_tasks,
)
from pgflow.calls.supabase import (
    cleanup_ensure_workers_logs,
    ensure_workers,
    is_local,
    setup_ensure_workers_cron,
    setup_requeue_stalled_tasks_cron,
    track_worker_function,
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
    "Message",
    "RunFilters",
    "TaskRecord",
    "add_step",
    "calculate_retry_delay",
    "cascade_complete_taskless_steps",
    "cascade_resolve_conditions",
    "cleanup_ensure_workers_logs",
    "compare_flow",
    "complete_task",
    "complete_tasks",
    "count_runs",
    "create_flow",
    "delay_run",
    "delete_flow_and_data",
    "delete_message",
    "ensure_flow_compiled",
    "ensure_workers",
    "exchange_tasks",
    "extend_leases",
    "fail_stalled_tasks",
    "fail_task",
    "fail_tasks",
    "fetch_tasks",
    "flow_exists",
    "get_flow_input",
    "get_queue_depths",
    "get_run",
    "get_run_statuses",
    "get_run_with_states",
    "get_step_output",
    "get_step_progress",
    "grant_starter",
    "grant_worker",
    "is_local",
    "is_valid_slug",
    "keep_alive",
    "list_flows",
    "list_runs",
    "list_tasks",
    "mark_worker_stopped",
    "maybe_complete_run",
    "poll_for_tasks",
    "prune_data_older_than",
    "read",
    "recover_stalled_tasks",
    "recover_tasks",
    "register_listener",
    "register_worker",
    "release_lost_tasks",
    "release_tasks",
    "requeue_stalled_tasks",
    "revoke_grants",
    "seconds_until",
    "set_flow_type",
    "set_vt_batch",
    "setup_ensure_workers_cron",
    "setup_requeue_stalled_tasks_cron",
    "start_flow",
    "start_flow_with_states",
    "start_flows",
    "start_ready_steps",
    "start_tasks",
    "stop_workers",
    "track_worker_function",
    "unregister_listener",
    "upsert_flow",
]
