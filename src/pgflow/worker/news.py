"""What a worker tells the event bus about polls, tasks and runs, once the database has said what counts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias
from uuid import UUID

from pgflow import telemetry
from pgflow.calls import Exchanged
from pgflow.types import StartedTask, TaskReport

_TASK_EVENTS = ("task.stop", "task.exception", "task.discarded")

_Key: TypeAlias = tuple[UUID, str, int, int]


class News:
    """Tells of what happens as far as somebody listens; remembers tasks until their reports have been answered."""

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

    def poll_stops(self, flow_slugs: Iterable[str], active_tasks: int, tasks: Sequence[StartedTask]) -> None:
        """Tell that the answer is there."""
        if telemetry.is_observed("poll.stop"):
            counts = Counter(task.flow_slug for task in tasks)
            duration = time.monotonic() - self._poll_began
            for flow_slug in flow_slugs:
                measurements = {"duration": duration, "task_count": counts[flow_slug]}
                telemetry.emit("poll.stop", measurements, self._poll(flow_slug, active_tasks))

    def ended(self, task: StartedTask, report: TaskReport, seconds: float) -> None:
        """Remember a task until the database has answered its report; one that was recorded before is told at once."""
        if any(map(telemetry.is_observed, _TASK_EVENTS)):
            self._ended[_key(report)] = (task, seconds)
            if report.recorded:
                self._tell_of_task(report, counted=True)
        if report.recorded:
            self.moved(report)

    def discarded(self, task: StartedTask, seconds: float, reason: str) -> None:
        """Tell that a task ended without a report."""
        metadata = telemetry.task_metadata(task, self._worker_ids[task.flow_slug])
        telemetry.emit("task.discarded", {"duration": seconds}, {**metadata, "reason": reason})

    def reported(self, reports: Sequence[TaskReport], recorded: Sequence[TaskReport]) -> None:
        """Tell what the database took of some reports: those that count, maybe otherwise than they were sent."""
        if self._ended:
            counting = {_key(report): report for report in recorded}
            for report in reports:
                self._tell_of_task(counting.get(_key(report), report), counted=_key(report) in counting)

    def moved(self, exchanged: Exchanged | TaskReport) -> None:
        """Tell what followed for steps and runs, from an exchange or a report that was recorded before."""
        if exchanged.skipped_steps and telemetry.is_observed("step.skipped"):
            for step in exchanged.skipped_steps:
                telemetry.emit("step.skipped", {"system_time": time.time()}, asdict(step))
        for run in exchanged.ended_runs:
            telemetry.tell_of_end(run)

    def _tell_of_task(self, report: TaskReport, *, counted: bool) -> None:
        known = self._ended.pop(_key(report), None)
        if known is None:
            return
        task, seconds = known
        metadata = telemetry.task_metadata(task, self._worker_ids[task.flow_slug])
        if report.release_delay is not None:
            self.discarded(task, seconds, "snoozed")
        elif not counted:
            self.discarded(task, seconds, "late")
        elif report.error_message is None:
            telemetry.emit("task.stop", {"duration": seconds}, {**metadata, "output": report.output})
        else:
            failure = {"error": report.error_message, "retry_delay": retry_delay(task, report)}
            described = {**metadata, **failure, "traceback": report.traceback}
            telemetry.emit("task.exception", {"duration": seconds}, described)

    def _poll(self, flow_slug: str, active_tasks: int) -> dict[str, object]:
        return {"worker_id": self._worker_ids[flow_slug], "flow_slug": flow_slug, "active_tasks": active_tasks}


def retry_delay(task: StartedTask, report: TaskReport) -> float | None:
    """Return the seconds until the next attempt after a failure, by the contract's formula; None if there is none."""
    if report.final or task.attempt >= task.max_attempts:
        return None
    if report.retry_delay is not None:
        return report.retry_delay
    return task.base_delay * 2.0**task.backoff_attempt


def _key(report: TaskReport) -> _Key:
    return report.run_id, report.step_slug, report.task_index, report.attempt
