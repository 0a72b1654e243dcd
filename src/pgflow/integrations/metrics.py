"""The metrics that follow from events: one table, for OpenTelemetry and Prometheus alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Metric:
    """One instrument. A `level` goes up and down; `unit` is `s` or what is counted."""

    name: str
    kind: Literal["counter", "level", "histogram"]
    unit: str
    description: str
    labels: tuple[str, ...]

    @property
    def prometheus_name(self) -> str:
        """The name by the rules of Prometheus."""
        suffix = {"counter": "_total", "level": "", "histogram": "_seconds"}[self.kind]
        return self.name.replace(".", "_") + suffix


Measurement: TypeAlias = tuple[Metric, float, tuple[str, ...]]
"""A metric, what to add to it or record in it, and the values of its labels."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of the buckets of histograms."""

_STEP = ("flow_slug", "step_slug")

WORKERS = Metric("pgflow.worker.flows", "level", "flow", "Flows that are worked in this process.", ("flow_slug",))
ACTIVE = Metric("pgflow.task.active", "level", "task", "Attempts in this process that have begun.", _STEP)
TASKS = Metric(
    "pgflow.task.attempts",
    "counter",
    "task",
    "Attempts by outcome: completed, retried, failed, discarded.",
    (*_STEP, "outcome"),
)
TASK_DURATION = Metric(
    "pgflow.task.duration", "histogram", "s", "How long attempts took that count.", (*_STEP, "outcome")
)
SKIPPED = Metric("pgflow.step.skipped", "counter", "step", "Steps that were skipped.", (*_STEP, "skip_reason"))
STARTED_RUNS = Metric("pgflow.run.started", "counter", "run", "Runs that this process started.", ("flow_slug",))
RUNS = Metric(
    "pgflow.run.ended", "counter", "run", "Runs that ended by outcome: completed, failed.", ("flow_slug", "outcome")
)
RUN_DURATION = Metric("pgflow.run.duration", "histogram", "s", "From start to end of runs.", ("flow_slug", "outcome"))
POLL_DURATION = Metric("pgflow.poll.duration", "histogram", "s", "How long asking for tasks took.", ("flow_slug",))

METRICS = (WORKERS, ACTIVE, TASKS, TASK_DURATION, SKIPPED, STARTED_RUNS, RUNS, RUN_DURATION, POLL_DURATION)
"""All metrics."""

OBSERVED = (
    "worker.start",
    "worker.stop",
    "poll.stop",
    "task.start",
    "task.stop",
    "task.exception",
    "task.discarded",
    "step.skipped",
    "run.started",
    "run.completed",
    "run.failed",
)
"""The events that :func:`measure` knows."""


def measure(event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> Iterator[Measurement]:
    """Yield what an event means for the metrics."""
    flow = metadata["flow_slug"]
    match event:
        case "worker.start" | "worker.stop":
            yield WORKERS, 1 if event == "worker.start" else -1, (flow,)
        case "poll.stop":
            yield POLL_DURATION, measurements["duration"], (flow,)
        case "task.start":
            yield ACTIVE, 1, (flow, metadata["step_slug"])
        case "task.stop":
            yield from _ended(flow, metadata["step_slug"], "completed", measurements["duration"])
        case "task.exception":
            outcome = "failed" if metadata["retry_delay"] is None else "retried"
            yield from _ended(flow, metadata["step_slug"], outcome, measurements["duration"])
        case "task.discarded":
            yield ACTIVE, -1, (flow, metadata["step_slug"])
            yield TASKS, 1, (flow, metadata["step_slug"], "discarded")
        case "step.skipped":
            yield SKIPPED, 1, (flow, metadata["step_slug"], metadata["skip_reason"])
        case "run.started":
            yield STARTED_RUNS, 1, (flow,)
        case "run.completed" | "run.failed":
            outcome = event.removeprefix("run.")
            yield RUNS, 1, (flow, outcome)
            yield RUN_DURATION, measurements["duration"], (flow, outcome)


def _ended(flow: str, step: str, outcome: str, duration: float) -> Iterator[Measurement]:
    yield ACTIVE, -1, (flow, step)
    yield TASKS, 1, (flow, step, outcome)
    yield TASK_DURATION, duration, (flow, step, outcome)
