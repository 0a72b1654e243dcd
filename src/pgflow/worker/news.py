"""What a worker tells the event bus about polls, tasks and runs, once the database has said what counts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from operator import attrgetter
from typing import Any, TypeAlias
from uuid import UUID

from pgflow import telemetry
from pgflow.calls import Exchanged
from pgflow.types import StartedTask, TaskReport

_TASK_EVENTS = ("task.stop", "task.exception", "task.discarded")
_RUN_EVENTS = ("run.completed", "run.failed")

_Key: TypeAlias = tuple[UUID, str, int, int]


class News:
    """Tells of what happens as far as somebody listens; remembers tasks until their reports have been answered.

    What it remembers has no input, which may be large.
    """

    def __init__(self, worker_ids: Mapping[str, UUID]) -> None:
        self._worker_ids = worker_ids
        self._ended: dict[_Key, tuple[StartedTask, float]] = {}
        self._poll_began = 0.0

    def poll_starts(self, flow_slugs: Iterable[str], active_tasks: int) -> None:
        """Tell that queues are asked."""
        self._poll_began = time.monotonic()
        if telemetry.is_observed("poll.start"):
            for flow_slug in flow_slugs:
                telemetry.emit("poll.start", {"system_time": time.time()}, self._poll(flow_slug, active_tasks))

    def poll_stops(self, flow_slugs: Iterable[str], active_tasks: int, exchanged: Exchanged) -> None:
        """Tell that the answer is there."""
        if telemetry.is_observed("poll.stop"):
            counts = Counter(task.flow_slug for task in exchanged.tasks)
            duration = time.monotonic() - self._poll_began
            for flow_slug in flow_slugs:
                measurements = {"duration": duration, "task_count": counts[flow_slug]}
                telemetry.emit("poll.stop", measurements, self._poll(flow_slug, active_tasks))

    def ended(self, task: StartedTask, report: TaskReport, seconds: float) -> None:
        """Remember a task until the database has answered its report; one that was recorded before is told at once."""
        if report.recorded:
            self._tell_of_task(task, seconds, report, counted=True)
            self.moved(report)
        elif any(map(telemetry.is_observed, _TASK_EVENTS)):
            self._ended[_key(report)] = (replace(task, input=None, flow_input=None), seconds)

    def discarded(self, task: StartedTask, seconds: float, reason: str) -> None:
        """Tell that a task ended without a report."""
        telemetry.emit("task.discarded", {"duration": seconds}, {**self._task(task), "reason": reason})

    def reported(self, reports: Sequence[TaskReport], recorded: Sequence[TaskReport]) -> None:
        """Tell what the database took of some reports: those that count, maybe otherwise than they were sent."""
        if self._ended:
            counting = {_key(report): report for report in recorded}
            for report in reports:
                key = _key(report)
                known, counted = self._ended.pop(key, None), counting.get(key)
                if known is not None:
                    self._tell_of_task(*known, counted or report, counted=counted is not None)

    def moved(self, exchanged: Exchanged | TaskReport) -> None:
        """Tell what followed for steps and runs, from an exchange or a report that was recorded before."""
        if exchanged.skipped_steps and telemetry.is_observed("step.skipped"):
            for step in exchanged.skipped_steps:
                telemetry.emit("step.skipped", {"system_time": time.time()}, asdict(step))
        if any(map(telemetry.is_observed, _RUN_EVENTS)):
            for run in exchanged.ended_runs:
                telemetry.tell_of_end(run)

    def _tell_of_task(self, task: StartedTask, seconds: float, report: TaskReport, *, counted: bool) -> None:
        if report.release_delay is not None:
            self.discarded(task, seconds, "snoozed")
        elif not counted:
            self.discarded(task, seconds, "late")
        elif report.error_message is not None:
            failure = {"error": report.error_message, "retry_delay": retry_delay(task, report)}
            described = {**self._task(task), **failure, "traceback": report.traceback}
            telemetry.emit("task.exception", {"duration": seconds}, described)
        elif telemetry.is_observed("task.stop"):
            telemetry.emit("task.stop", {"duration": seconds}, {**self._task(task), "output": report.output})

    def _task(self, task: StartedTask) -> dict[str, Any]:
        return telemetry.task_metadata(task, self._worker_ids[task.flow_slug])

    def _poll(self, flow_slug: str, active_tasks: int) -> dict[str, object]:
        return {"worker_id": self._worker_ids[flow_slug], "flow_slug": flow_slug, "active_tasks": active_tasks}


def retry_delay(task: StartedTask, report: TaskReport) -> float | None:
    """Return the seconds until the next attempt after a failure, by the contract's formula; None if there is none."""
    if report.final or task.attempt >= task.max_attempts:
        return None
    if report.retry_delay is not None:
        return report.retry_delay
    return task.base_delay * 2.0**task.backoff_attempt


_key: Callable[[TaskReport], _Key] = attrgetter("run_id", "step_slug", "task_index", "attempt")
