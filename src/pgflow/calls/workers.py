"""Calls of workers about themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from pgflow.calls.call import Call, nothing
from pgflow.types import Heartbeat, QueueDepth, StartedTask, WorkerRow


def register_worker(worker_id: UUID, queue_name: str, function_name: str) -> Call[None]:
    """Register a worker: `pgflow.register_worker`."""
    return Call("select pgflow.register_worker(%s, %s, %s)", (worker_id, queue_name, function_name), nothing)


def keep_alive(
    workers: Mapping[UUID, str], function_name: str, *, leaving: bool = False, recover: bool = False
) -> Call[Heartbeat]:
    """Say that workers, by id with the queue of each, are alive: `pgflow.keep_alive`. Registers those it doesn't know.

    With `leaving` they take no more tasks; with `recover` stalled tasks are put back too.
    """
    return Call(
        "select deprecated_ids, requeued_count, failed_count, recovery_error"
        " from pgflow.keep_alive(%s, %s, %s, %s, %s)",
        (list(workers), list(workers.values()), function_name, leaving, recover),
        lambda rows: Heartbeat(*rows[0]),
    )


def stop_workers(worker_ids: Iterable[UUID]) -> Call[None]:
    """Say that workers have ended: `pgflow.stop_workers`."""
    return Call("select pgflow.stop_workers(%s)", (list(worker_ids),), nothing)


def mark_worker_stopped(worker_id: UUID) -> Call[None]:
    """Say that a worker has ended: `pgflow.mark_worker_stopped`."""
    return Call("select pgflow.mark_worker_stopped(%s)", (worker_id,), nothing)


def extend_leases(tasks: Sequence[StartedTask]) -> Call[list[int]]:
    """Keep the messages of tasks away: `pgflow.extend_leases`. Gives the positions, from 0, of those still held."""
    return Call(
        "select pgflow.extend_leases(%s, %s, %s, %s)",
        (
            [task.run_id for task in tasks],
            [task.step_slug for task in tasks],
            [task.task_index for task in tasks],
            [task.attempt for task in tasks],
        ),
        lambda rows: [position - 1 for position in rows[0][0]],
    )


def recover_tasks() -> Call[tuple[int, int]]:
    """Put stalled tasks back: `pgflow.recover_tasks`. Gives the numbers of those put back, and of those given up."""
    return Call(
        "select requeued_count, failed_count from pgflow.recover_tasks()", (), lambda rows: (rows[0][0], rows[0][1])
    )


def get_queue_depths(flow_slugs: Sequence[str]) -> Call[dict[str, QueueDepth]]:
    """Count the messages of queues: `pgflow.get_queue_depths`. Gives those of the flows that are registered."""
    return Call(
        "select flow_slug, visible_count, delayed_count, oldest_seconds from pgflow.get_queue_depths(%s)",
        (list(flow_slugs),),
        lambda rows: {row[0]: QueueDepth(*row) for row in rows},
    )


def list_workers(
    queue_names: Sequence[str] | None = None, *, with_stopped: bool = False, limit: int | None = 50
) -> Call[list[WorkerRow]]:
    """Read workers, last heard of first: `pgflow.list_workers`."""
    return Call(
        "select worker_id, queue_name, function_name, status, started_at, last_heartbeat_at, deprecated_at, stopped_at"
        " from pgflow.list_workers(%s::text[], %s, %s)",
        (None if queue_names is None else list(queue_names), with_stopped, limit),
        lambda rows: [WorkerRow(*row) for row in rows],
    )
