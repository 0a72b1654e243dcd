"""What happens in a run, as values: one class per kind of event, with what the rows say about it.

::

    RunStartedEvent, RunCompletedEvent, RunFailedEvent
    StepStartedEvent, StepCompletedEvent, StepFailedEvent, StepSkippedEvent
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypeAlias
from uuid import UUID

from pgflow.types import Json, RunRow, RunStatus, StepState, StepStatus


@dataclass(frozen=True, slots=True)
class RunStartedEvent:
    """A run was started; `remaining_steps` is the number of its steps."""

    event_type: ClassVar[str] = "run:started"
    run_id: UUID
    flow_slug: str
    input: Json
    remaining_steps: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class RunCompletedEvent:
    """A run completed; `output` holds the outputs of its completed leaf steps by slug."""

    event_type: ClassVar[str] = "run:completed"
    run_id: UUID
    flow_slug: str
    output: Json
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class RunFailedEvent:
    """A run failed, because of the step that failed with `error_message`, or was cancelled: that says so then."""

    event_type: ClassVar[str] = "run:failed"
    run_id: UUID
    flow_slug: str
    error_message: str | None
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class StepStartedEvent:
    """A step was started, with so many tasks to do. A step that has none only completes."""

    event_type: ClassVar[str] = "step:started"
    run_id: UUID
    flow_slug: str
    step_slug: str
    remaining_tasks: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class StepCompletedEvent:
    """A step completed."""

    event_type: ClassVar[str] = "step:completed"
    run_id: UUID
    flow_slug: str
    step_slug: str
    output: Json
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class StepFailedEvent:
    """A step failed, and its run with it."""

    event_type: ClassVar[str] = "step:failed"
    run_id: UUID
    flow_slug: str
    step_slug: str
    error_message: str | None
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class StepSkippedEvent:
    """A step was skipped: `skip_reason` is condition_unmet, handler_failed or dependency_skipped."""

    event_type: ClassVar[str] = "step:skipped"
    run_id: UUID
    flow_slug: str
    step_slug: str
    skip_reason: str | None
    error_message: str | None
    skipped_at: datetime


RunEvent: TypeAlias = RunStartedEvent | RunCompletedEvent | RunFailedEvent
StepEvent: TypeAlias = StepStartedEvent | StepCompletedEvent | StepFailedEvent | StepSkippedEvent
Event: TypeAlias = RunEvent | StepEvent


class History:
    """What happened in a run, from what it looks like now and then.

    States only move forward, so looks that come late, twice, or not at all change nothing: a step that has completed
    since the last look was started before.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def advance(self, run: RunRow, steps: Sequence[StepState]) -> list[Event]:
        """Return what has happened since the last look, in its order. `steps` are in the order of definition."""
        happened: list[tuple[datetime, int, Event]] = []
        for position, state in enumerate(steps):
            happened += [(at, position, event) for at, event in _step_events(state) if self._is_new(event)]
        happened.sort(key=lambda entry: entry[:2])  # stable: what is simultaneous stays in the order of the steps
        events: list[Event] = [event for _, _, event in happened]
        started = RunStartedEvent(run.run_id, run.flow_slug, run.input, len(steps), run.started_at)
        if self._is_new(started):
            events.insert(0, started)
        ended = _end_of(run, steps)
        if ended is not None and self._is_new(ended):
            events.append(ended)
        return events

    def _is_new(self, event: Event) -> bool:
        key = (event.event_type, event.step_slug if isinstance(event, StepEvent) else "")
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


def _step_events(state: StepState) -> list[tuple[datetime, StepEvent]]:
    """Return what has happened to a step so far; nothing for a status that this version doesn't know."""
    of_step = state.run_id, state.flow_slug, state.step_slug
    events: list[tuple[datetime, StepEvent]] = []
    if state.started_at is not None and state.initial_tasks:
        events.append((state.started_at, StepStartedEvent(*of_step, state.initial_tasks, state.started_at)))
    at: datetime | None
    if state.status == StepStatus.COMPLETED and (at := state.completed_at):
        events.append((at, StepCompletedEvent(*of_step, state.output, at)))
    elif state.status == StepStatus.FAILED and (at := state.failed_at):
        events.append((at, StepFailedEvent(*of_step, state.error_message, at)))
    elif state.status == StepStatus.SKIPPED and (at := state.skipped_at):
        events.append((at, StepSkippedEvent(*of_step, state.skip_reason, state.error_message, at)))
    return events


def _end_of(run: RunRow, steps: Sequence[StepState]) -> RunEvent | None:
    if run.status == RunStatus.COMPLETED and run.completed_at:
        return RunCompletedEvent(run.run_id, run.flow_slug, run.output, run.completed_at)
    if run.status == RunStatus.FAILED and run.failed_at:
        failed = next((state for state in steps if state.status == StepStatus.FAILED), None)
        error_message = _cancellation_message(run) or (failed.error_message if failed else None)
        return RunFailedEvent(run.run_id, run.flow_slug, error_message, run.failed_at)
    return None


def _cancellation_message(run: RunRow) -> str | None:
    """Return what the database's event says of a run that was cancelled; None for any other."""
    if run.cancelled_at is None:
        return None
    return "Run cancelled" + (f": {run.cancel_reason}" if run.cancel_reason else "")
