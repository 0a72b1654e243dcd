"""What a worker tells the event bus about polls, tasks and runs, once the database has said what counts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from pgflow import telemetry
from pgflow.types import EndedRun, RunStatus, StartedTask, TaskReport

_TASK_EVENTS = ("task.stop", "task.exception", "task.discarded")


class News:
    """Tells of what happens as far as somebody listens; remembers tasks until their reports have been answered."""

    def __init__(self, worker_ids: Mapping[str, UUID]) -> None:
        self._worker_ids = worker_ids
        self._ended: dict[int, tuple[StartedTask, TaskReport, float]] = {}
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
            self._ended[id(report)] = (task, report, seconds)
            if report.recorded:
                self._tell_of_task(report, counted=True)

    def taken_away(self, task: StartedTask, seconds: float) -> None:
        """Tell that a task ended without a report."""
        self._discarded(task, seconds, "taken away")

    def reported(
        self, reports: Sequence[TaskReport], recorded: Sequence[TaskReport], ended_runs: Iterable[EndedRun]
    ) -> None:
        """Tell what the database took, and which runs that has ended."""
        if self._ended:
            counting = set(map(id, recorded))
            for report in reports:
                self._tell_of_task(report, counted=id(report) in counting)
        for run in ended_runs:
            _tell_of_run(run)

    def _tell_of_task(self, report: TaskReport, *, counted: bool) -> None:
        known = self._ended.pop(id(report), None)
        if known is None:
            return
        task, _, seconds = known
        metadata = telemetry.task_metadata(task, self._worker_ids[task.flow_slug])
        if report.release_delay is not None:
            self._discarded(task, seconds, "snoozed")
        elif not counted:
            self._discarded(task, seconds, "late")
        elif report.error_message is None:
            telemetry.emit("task.stop", {"duration": seconds}, {**metadata, "output": report.output})
        else:
            failure = {"error": report.error_message, "retry_delay": retry_delay(task, report)}
            telemetry.emit("task.exception", {"duration": seconds}, {**metadata, **failure})

    def _discarded(self, task: StartedTask, seconds: float, reason: str) -> None:
        metadata = telemetry.task_metadata(task, self._worker_ids[task.flow_slug])
        telemetry.emit("task.discarded", {"duration": seconds}, {**metadata, "reason": reason})

    def _poll(self, flow_slug: str, active_tasks: int) -> dict[str, object]:
        return {"worker_id": self._worker_ids[flow_slug], "flow_slug": flow_slug, "active_tasks": active_tasks}


def retry_delay(task: StartedTask, report: TaskReport) -> float | None:
    """Return the seconds until the next attempt after a failure, by the contract's formula; None if there is none."""
    if report.final or task.attempt >= task.max_attempts:
        return None
    if report.retry_delay is not None:
        return report.retry_delay
    return task.base_delay * 2.0**task.attempt


def _tell_of_run(run: EndedRun) -> None:
    metadata = {"flow_slug": run.flow_slug, "run_id": run.run_id}
    if run.status == RunStatus.COMPLETED:
        telemetry.emit("run.completed", {"duration": run.seconds}, metadata)
    else:
        telemetry.emit("run.failed", {"duration": run.seconds}, {**metadata, "error": run.error_message})
