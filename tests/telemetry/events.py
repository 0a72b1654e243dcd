"""Events as a worker emits them, without one."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from pgflow import telemetry
from pgflow.types import StartedTask

WORKER_ID = UUID("0193a1b2-0000-7000-8000-000000000002")


def task(run_id: UUID | None = None, *, task_index: int = 0, attempt: int = 1) -> dict[str, Any]:
    """Return the metadata of a task of step `pay` of flow `shop`."""
    started = StartedTask("shop", run_id or uuid4(), "pay", task_index, {}, None, 1, attempt, 3, 60)
    return telemetry.task_metadata(started, WORKER_ID)


def run(run_id: UUID | None = None) -> dict[str, Any]:
    """Return the metadata of a run of flow `shop`."""
    return {"flow_slug": "shop", "run_id": run_id or uuid4()}


def start(metadata: dict[str, Any]) -> None:
    telemetry.emit("task.start", {"system_time": 1000.0}, metadata)


def complete(metadata: dict[str, Any], duration: float = 0.25) -> None:
    telemetry.emit("task.stop", {"duration": duration}, {**metadata, "output": b'"secret"'})


def fail(metadata: dict[str, Any], error: str = "ValueError: no money", *, retry_delay: float | None = None) -> None:
    described = {**metadata, "error": error, "retry_delay": retry_delay, "traceback": "Traceback …"}
    telemetry.emit("task.exception", {"duration": 0.25}, described)


def discard(metadata: dict[str, Any], reason: str = "snoozed") -> None:
    telemetry.emit("task.discarded", {"duration": 0.25}, {**metadata, "reason": reason})
