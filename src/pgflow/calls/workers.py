"""Calls of workers about themselves."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pgflow.calls.call import Call, nothing


def register_worker(worker_id: UUID, queue_name: str, function_name: str) -> Call[None]:
    """Register a worker: `pgflow.register_worker`."""
    return Call("select pgflow.register_worker(%s, %s, %s)", (worker_id, queue_name, function_name), nothing)


def send_heartbeats(worker_ids: Sequence[UUID]) -> Call[list[UUID]]:
    """Say that workers are alive: `pgflow.send_heartbeats`. Gives those that are asked to leave."""
    return Call("select pgflow.send_heartbeats(%s)", (list(worker_ids),), lambda rows: list(rows[0][0]))


def mark_worker_stopped(worker_id: UUID) -> Call[None]:
    """Say that a worker has ended: `pgflow.mark_worker_stopped`."""
    return Call("select pgflow.mark_worker_stopped(%s)", (worker_id,), nothing)
