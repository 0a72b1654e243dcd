"""Stages of a worker's life, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class WorkerState(StrEnum):
    """Stages of a worker's life, in this order.

    A worker is `deprecated` when the database has asked it to leave: it finishes its tasks and takes no more. Asked by
    its own program, or when its tasks are finished, it is `stopping`.
    """

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    DEPRECATED = "deprecated"
    STOPPING = "stopping"
    STOPPED = "stopped"


_NEXT = {
    WorkerState.CREATED: {WorkerState.STARTING, WorkerState.STOPPED},
    WorkerState.STARTING: {WorkerState.RUNNING, WorkerState.STOPPED},
    WorkerState.RUNNING: {WorkerState.DEPRECATED, WorkerState.STOPPING},
    WorkerState.DEPRECATED: {WorkerState.STOPPING},
    WorkerState.STOPPING: {WorkerState.STOPPED},
    WorkerState.STOPPED: set(),
}


def follows(state: WorkerState, following: WorkerState) -> bool:
    """Whether a worker in one state may enter the other."""
    return following in _NEXT[state]
