"""Rows as values: one frozen dataclass per row kind, with the columns of the tables of schema `pgflow`."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

Json: TypeAlias = Any
"""A value as JSON has it: None, bool, int, float, str, list or dict with text keys."""


class RunStatus(StrEnum):
    """States of a run."""

    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"


class CancelOutcome(StrEnum):
    """What cancelling makes of a run."""

    CANCELLED = "cancelled"
    ALREADY_CANCELLED = "already_cancelled"
    ENDED = "ended"
    NOT_FOUND = "not_found"


class RetryOutcome(StrEnum):
    """What retrying makes of a run."""

    RETRIED = "retried"
    RUNNING = "running"
    COMPLETED = "completed"
    NOT_FOUND = "not_found"


class StepStatus(StrEnum):
    """States of a step in a run."""

    CREATED = "created"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class TaskStatus(StrEnum):
    """States of a task."""

    QUEUED = "queued"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of `pgflow.runs`. `status` is one of :class:`RunStatus`, or a text that a newer core knows.

    `cancelled_at` and `cancel_reason` are those of a run that was cancelled, whose status is failed.
    """

    run_id: UUID
    flow_slug: str
    status: str
    input: Json
    output: Json
    remaining_steps: int
    started_at: datetime
    completed_at: datetime | None
    failed_at: datetime | None
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the run has completed or failed."""
        return self.status in (RunStatus.COMPLETED, RunStatus.FAILED)


@dataclass(frozen=True, slots=True)
class StepState:
    """A row of `pgflow.step_states`. `status` is one of :class:`StepStatus`, or a text that a newer core knows."""

    run_id: UUID
    flow_slug: str
    step_slug: str
    status: str
    remaining_tasks: int | None
    initial_tasks: int | None
    remaining_deps: int
    output: Json
    error_message: str | None
    skip_reason: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    skipped_at: datetime | None


@dataclass(frozen=True, slots=True)
class StepTask:
    """A row of `pgflow.step_tasks`. `status` is one of :class:`TaskStatus`, or a text that a newer core knows."""

    run_id: UUID
    flow_slug: str
    step_slug: str
    task_index: int
    status: str
    attempts_count: int
    output: Json
    error_message: str | None
    message_id: int | None
    queued_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    last_worker_id: UUID | None
    requeued_count: int
    last_requeued_at: datetime | None
    permanently_stalled_at: datetime | None


@dataclass(frozen=True, slots=True)
class PruneResult:
    """Numbers of rows and messages that were deleted."""

    deleted_runs: int
    deleted_step_states: int
    deleted_step_tasks: int
    deleted_workers: int
    deleted_messages: int

    def __add__(self, other: PruneResult) -> PruneResult:
        return PruneResult(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class StartedTask:
    """A task handed to a worker.

    `attempt` counts from 1 and fences the report; `timeout` is the effective one in seconds. `flow_input` is the
    run's input for root steps that are no maps, else None. `base_delay`, in seconds, is what backoff starts from;
    attempts before the run was last retried don't count there. `input_size` is the length of both inputs as JSON text,
    0 where nobody has counted.
    """

    flow_slug: str
    run_id: UUID
    step_slug: str
    task_index: int
    input: Json
    flow_input: Json
    message_id: int
    attempt: int
    max_attempts: int
    timeout: int
    base_delay: int = 1
    attempts_before_retry: int = 0
    input_size: int = field(default=0, compare=False, repr=False)

    @property
    def backoff_attempt(self) -> int:
        """The attempt as backoff counts it: from 1, again after the run was retried."""
        return self.attempt - self.attempts_before_retry


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that a worker's reports have ended, `seconds` after its start; `error_message` says why it failed."""

    run_id: UUID
    flow_slug: str
    status: str
    seconds: float
    error_message: str | None


@dataclass(frozen=True, slots=True)
class ControlledRun:
    """What cancelling or retrying has made of a run.

    `flow_slug` is there if anything was; the rest if the run has ended by that.
    """

    run_id: UUID
    outcome: str
    flow_slug: str | None
    status: str | None
    seconds: float | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class SkippedStep:
    """A step that a worker's reports have skipped."""

    run_id: UUID
    flow_slug: str
    step_slug: str
    skip_reason: str


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What a worker says about one task: completed with `output` (JSON text), failed with `error_message`, or released.

    A failure that is `final` isn't retried; `retry_delay`, in seconds, stands for the delay by the formula. A task that
    is released goes back to its queue for `release_delay` seconds and the attempt isn't counted. What is `recorded` is
    in the database already, which has said what steps and runs it ended. The traceback of a failure is for logs.
    """

    run_id: UUID
    step_slug: str
    task_index: int
    attempt: int
    output: bytes | None = None
    error_message: str | None = None
    final: bool = False
    retry_delay: int | None = None
    release_delay: int | None = None
    recorded: bool = False
    skipped_steps: tuple[SkippedStep, ...] = field(default=(), compare=False, repr=False)
    ended_runs: tuple[EndedRun, ...] = field(default=(), compare=False, repr=False)
    traceback: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class StepProgress:
    """The tasks of a step counted by status, with the highest attempt and the last error among them."""

    step_slug: str
    queued: int
    started: int
    completed: int
    failed: int
    attempts: int
    error_message: str | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a heartbeat brings back: workers that are asked to leave, and what recovery has done.

    `recovery_error` is what recovery ran into; the heartbeat itself has succeeded then.
    """

    deprecated_ids: list[UUID]
    requeued_count: int
    failed_count: int
    recovery_error: str | None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A row of `pgflow.workers`: one worker polls one queue, which has the slug of its flow.

    `status` is `alive`; `deprecated` when it finishes its tasks and leaves; `stale` when it hasn't been heard of for 30
    seconds; or `stopped`.
    """

    worker_id: UUID
    queue_name: str
    function_name: str
    status: str
    started_at: datetime
    last_heartbeat_at: datetime
    deprecated_at: datetime | None
    stopped_at: datetime | None


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The messages of a flow's queue, counted among 10,000: those that wait for a worker, and those for later.

    Messages of tasks that run are among those for later. `oldest_seconds` is how long a worker has been waited for.
    """

    flow_slug: str
    visible_count: int
    delayed_count: int
    oldest_seconds: float | None
