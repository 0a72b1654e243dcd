"""What the model keeps of a run: rows, messages and events. Times are seconds since the clock was set first."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from model.definition import Flow
from model.values import SQL_NULL, Json, Value


@dataclass
class State:
    """A row of `step_states`."""

    remaining_deps: int
    initial_tasks: int | None
    created_at: int
    status: str = "created"
    remaining_tasks: int | None = None
    output: Value = SQL_NULL
    error_message: str | None = None
    skip_reason: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    skipped_at: int | None = None

    @property
    def is_ready(self) -> bool:
        return self.status == "created" and self.remaining_deps == 0


@dataclass
class Task:
    """A row of `step_tasks`."""

    message_id: int
    queued_at: int
    status: str = "queued"
    attempts_count: int = 0
    error_message: str | None = None
    output: Value = SQL_NULL
    started_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    last_worker_id: UUID | None = None
    requeued_count: int = 0
    last_requeued_at: int | None = None
    permanently_stalled_at: int | None = None
    attempts_before_retry: int = 0


@dataclass
class Cancellation:
    """A row of `run_cancellations`."""

    reason: str | None
    cancelled_at: int


@dataclass
class Run:
    """A row of `runs` with what belongs to it; states are in the order of definition."""

    run_id: UUID
    flow: Flow
    input: Json
    started_at: int
    remaining_steps: int
    states: dict[str, State]
    tasks: dict[tuple[str, int], Task] = field(default_factory=dict)
    status: str = "started"
    output: Value = SQL_NULL
    completed_at: int | None = None
    failed_at: int | None = None
    cancellation: Cancellation | None = None

    def tasks_of(self, slug: str) -> list[Task]:
        """Return the tasks of a step by index."""
        return [task for (step_slug, _), task in sorted(self.tasks.items()) if step_slug == slug]

    def ready(self) -> dict[str, State]:
        """Return the ready steps in the order of definition; none, unless the run goes on."""
        if self.status != "started":
            return {}
        return {slug: state for slug, state in self.states.items() if state.is_ready}


@dataclass
class Queue:
    """The messages of one flow by id; `delays` has the visibility that was set since it was emptied last."""

    live: dict[int, Json] = field(default_factory=dict)
    archived: dict[int, Json] = field(default_factory=dict)
    delays: dict[int, int] = field(default_factory=dict)

    def send(self, message: Json, delay: int) -> int:
        message_id = len(self.live) + len(self.archived) + 1
        self.live[message_id] = message
        self.delays[message_id] = delay
        return message_id

    def archive(self, message_id: int) -> None:
        if message_id in self.live:
            self.archived[message_id] = self.live.pop(message_id)

    def delay(self, message_id: int, seconds: int) -> None:
        """Make a message visible after so many seconds, if it is in the queue."""
        if message_id in self.live:
            self.delays[message_id] = seconds


@dataclass(frozen=True)
class Event:
    """An event with the keys that the contract wants in its payload."""

    name: str
    payload: dict[str, Json]

    @property
    def run_id(self) -> str:
        return str(self.payload["run_id"])


@dataclass(frozen=True)
class StartedTask:
    """A task handed to a worker."""

    run_id: UUID
    step_slug: str
    task_index: int
    message_id: int
    input: Value
    flow_input: Value


@dataclass(frozen=True)
class Completion:
    """A report of a completed task; an attempt that is `None` isn't compared."""

    run_id: UUID
    step_slug: str
    task_index: int = 0
    output: Value = SQL_NULL
    attempt: int | None = None


@dataclass(frozen=True)
class Failure:
    """A report of a failed task; `final` leaves no attempts, `retry_delay` takes the place of the formula."""

    run_id: UUID
    step_slug: str
    task_index: int = 0
    error_message: str | None = "boom"
    attempt: int | None = None
    final: bool = False
    retry_delay: int | None = None


@dataclass(frozen=True)
class Release:
    """A report that gives a task back for so many seconds."""

    run_id: UUID
    step_slug: str
    task_index: int = 0
    delay: int | None = None
    attempt: int | None = None


@dataclass(frozen=True)
class Demand:
    """What a worker wants of an exchange: tasks of some flows, in this order, up to a limit.

    The messages that were in the queues before are read too where they are `visible`.
    """

    flow_slugs: tuple[str, ...]
    worker_id: UUID
    limit: int
    visible: bool = False


@dataclass(frozen=True)
class Exchanged:
    """What an exchange gives: positions of reports that counted, tasks in their order, runs and steps that ended."""

    recorded: list[int]
    tasks: list[StartedTask]
    ended_runs: list[tuple[str, str]]
    skipped_steps: list[tuple[str, str, str]]


class Refused(Exception):
    """The engine raises an error with this SQLSTATE and text, and nothing changes."""

    def __init__(self, sqlstate: str, text: str) -> None:
        super().__init__(sqlstate, text)
        self.sqlstate = sqlstate
        self.text = text
