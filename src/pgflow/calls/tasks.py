"""Calls of workers about tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from pgflow.calls.call import Call, Row, json_value
from pgflow.calls.columns import Booleans, Integers, Texts, Uuids
from pgflow.errors import InvalidInput
from pgflow.serialize import describe_error
from pgflow.types import EndedRun, SkippedStep, StartedTask, TaskReport

T = TypeVar("T")

_TASK_COLUMNS = (
    "task.flow_slug, task.run_id, task.step_slug, task.task_index, task.input::text, task.flow_input::text,"
    " task.message_id, task.attempt, task.max_attempts, task.timeout, task.base_delay,"
    " task.attempts_before_retry"
)


_INPUT, _FLOW_INPUT = 4, 5
_COLUMNS_OF_THE_EXCHANGE = 5

# The first row has what concerns the whole exchange.
_EXCHANGE = f"""\
select
  case when task.ordinality is null or task.ordinality = 1 then exchanged.recorded end,
  case when task.ordinality is null or task.ordinality = 1 then to_jsonb(exchanged.ended_runs)::text end,
  case when task.ordinality is null or task.ordinality = 1 then exchanged.skipped_steps::text end,
  case when task.ordinality is null or task.ordinality = 1 then exchanged.read_until end,
  exchanged.pause, {_TASK_COLUMNS}
from pgflow.exchange_tasks(%s, %s, %s, %s, %s::text[]::jsonb[], %s, %s, %s, %s, %s, %s, %s) as exchanged
left join lateral unnest(exchanged.tasks) with ordinality as task on true"""


@dataclass(slots=True)
class Exchanged:
    """What an exchange gave.

    `recorded` are the positions, from 0, of the reports that counted. `pause` is the number of seconds until the
    next message becomes visible; None if none is waiting, or there were as many tasks as wanted. `read_until` says for
    each flow that was asked, in their order, how far its queue was read; None if to the end. `input_size` is the length
    of all inputs that came, as JSON text.
    """

    recorded: list[int] = field(default_factory=list)
    skipped_steps: list[SkippedStep] = field(default_factory=list)
    pause: float | None = None
    read_until: list[datetime | None] = field(default_factory=list)
    input_size: int = 0
    _ended_runs: list[EndedRun] = field(default_factory=list)
    _unread_ended_runs: str | None = None
    _tasks: list[StartedTask] = field(default_factory=list)
    _unreadable: list[TaskReport] = field(default_factory=list)
    _rows: list[Row] = field(default_factory=list)

    @property
    def ended_runs(self) -> list[EndedRun]:
        """The runs that the reports have ended; often nobody wants to know, hence read when asked for."""
        if self._unread_ended_runs is not None:
            self._ended_runs.extend(_list_of(EndedRun).validate_json(self._unread_ended_runs))
            self._unread_ended_runs = None
        return self._ended_runs

    @property
    def count(self) -> int:
        """How many tasks came: it is known before they are read, which takes a while."""
        return len(self._tasks) + len(self._unreadable) + len(self._rows)

    @property
    def tasks(self) -> list[StartedTask]:
        """The tasks, started."""
        self._read()
        return self._tasks

    @property
    def unreadable(self) -> list[TaskReport]:
        """Failures, to be reported, of tasks whose input holds what Python can't: too deep, too long a number."""
        self._read()
        return self._unreadable

    def _read(self) -> None:
        rows = self._rows
        rows.reverse()
        while rows:
            row = rows.pop()  # its text goes when its value is there
            try:
                self._tasks.append(_task(row))
            except InvalidInput as error:
                self._unreadable.append(_unreadable(row, error))


def fetch_tasks(flow_slug: str, worker_id: UUID, limit: int) -> Call[list[StartedTask]]:
    """Read messages and start their tasks: `pgflow.fetch_tasks`. Gives the tasks started."""
    return Call(
        f"select {_TASK_COLUMNS} from pgflow.fetch_tasks(%s, %s, %s) as task",
        (flow_slug, worker_id, limit),
        lambda rows: [_task(row) for row in rows],
    )


def complete_tasks(reports: Sequence[TaskReport]) -> Call[list[int]]:
    """Report completed tasks: `pgflow.complete_tasks`. Gives the positions, from 0, of the reports that counted."""
    return Call(
        "select pgflow.complete_tasks(%s, %s, %s, %s::text[]::jsonb[], %s)",
        (*_task_keys(reports), _outputs(reports), _attempts(reports)),
        _positions,
    )


def fail_tasks(reports: Sequence[TaskReport]) -> Call[list[int]]:
    """Report failed tasks: `pgflow.fail_tasks`. Gives the positions, from 0, of the reports that counted."""
    return Call(
        "select pgflow.fail_tasks(%s, %s, %s, %s, %s, %s, %s)",
        (
            *_task_keys(reports),
            Texts([report.error_message for report in reports]),
            _attempts(reports),
            Booleans([report.final for report in reports]),
            Integers([report.retry_delay for report in reports]),
        ),
        _positions,
    )


def release_tasks(reports: Sequence[TaskReport], worker_ids: Sequence[UUID] | None = None) -> Call[list[int]]:
    """Give tasks back without counting their attempt: `pgflow.release_tasks`. Gives the positions that counted.

    With `worker_ids`, only tasks that one of these workers has started.
    """
    return Call(
        "select pgflow.release_tasks(%s, %s, %s, %s, %s, %s)",
        (
            *_task_keys(reports),
            _attempts(reports),
            Integers([report.release_delay for report in reports]),
            None if worker_ids is None else Uuids(worker_ids),
        ),
        _positions,
    )


def release_lost_tasks(worker_ids: Sequence[UUID], known: Sequence[tuple[UUID, str, int, int]]) -> Call[int]:
    """Give back what these workers don't know that they have: `pgflow.release_lost_tasks`. Gives the number of tasks.

    `known` are the tasks that they know of: run, step, index, attempt.
    """
    return Call(
        "select cardinality(pgflow.release_lost_tasks(%s, %s, %s, %s, %s))",
        (
            Uuids(worker_ids),
            Uuids([run_id for run_id, _, _, _ in known]),
            Texts([step_slug for _, step_slug, _, _ in known]),
            Integers([task_index for _, _, task_index, _ in known]),
            Integers([attempt for _, _, _, attempt in known]),
        ),
        lambda rows: int(rows[0][0]),
    )


def exchange_tasks(
    reports: Sequence[TaskReport],
    worker_ids: Mapping[str, UUID],
    limit: int,
    since: Sequence[datetime | None] | None = None,
) -> Call[Exchanged]:
    """Report completed and failed tasks and get up to `limit` new ones: `pgflow.exchange_tasks`.

    `worker_ids` has the worker for each flow that tasks are wanted of, in the order in which queues are asked.
    `since` says for each of them where reading begins, which is never behind what it has given as `read_until`.
    """
    return Call(
        _EXCHANGE,
        (
            *_task_keys(reports),
            _attempts(reports),
            _outputs(reports),
            Texts([report.error_message for report in reports]),
            Booleans([report.final for report in reports]),
            Integers([report.retry_delay for report in reports]),
            Texts(worker_ids),
            Uuids(worker_ids.values()),
            limit,
            list(since) if since and any(since) else None,
        ),
        _exchanged,
    )


def requeue_stalled_tasks() -> Call[int]:
    """Put stalled tasks back into their queues: `pgflow.requeue_stalled_tasks`. Gives their number."""
    return Call("select pgflow.requeue_stalled_tasks()", (), lambda rows: int(rows[0][0]))


def _task_keys(reports: Sequence[TaskReport]) -> tuple[Uuids, Texts, Integers]:
    return (
        Uuids([report.run_id for report in reports]),
        Texts([report.step_slug for report in reports]),
        Integers([report.task_index for report in reports]),
    )


def _attempts(reports: Sequence[TaskReport]) -> Integers:
    return Integers([report.attempt for report in reports])


def _outputs(reports: Sequence[TaskReport]) -> Texts:
    return Texts([None if report.output is None else report.output.decode() for report in reports])


def _positions(rows: Sequence[Row]) -> list[int]:
    return [position - 1 for position in rows[0][0]]


def _task(row: Row) -> StartedTask:
    flow_slug, run_id, step_slug, task_index, input_text, flow_input_text, *rest = row
    task_input, flow_input = json_value(input_text), json_value(flow_input_text)
    rest.append(_input_size(row))
    return StartedTask(flow_slug, run_id, step_slug, task_index, task_input, flow_input, *rest)


def _input_size(row: Row) -> int:
    return len(row[_INPUT] or "") + len(row[_FLOW_INPUT] or "")


def _exchanged(rows: Sequence[Row]) -> Exchanged:
    recorded, ended_runs, skipped_steps, read_until, pause, *_ = rows[0]
    exchanged = Exchanged([position - 1 for position in recorded], pause=pause, read_until=read_until)
    exchanged._unread_ended_runs = ended_runs
    if skipped_steps is not None:
        exchanged.skipped_steps = _list_of(SkippedStep).validate_json(skipped_steps)
    if rows[0][_COLUMNS_OF_THE_EXCHANGE] is not None:
        exchanged._rows = [row[_COLUMNS_OF_THE_EXCHANGE:] for row in rows]
        exchanged.input_size = sum(map(_input_size, exchanged._rows))
    return exchanged


@cache
def _list_of(kind: type[T]) -> TypeAdapter[list[T]]:
    """Return what reads rows as JSON, in a third of the time of :func:`from_json`; made when it is needed."""
    return TypeAdapter(list[kind])  # type: ignore[valid-type] # known when it runs


def _unreadable(row: Row, error: InvalidInput) -> TaskReport:
    _, run_id, step_slug, task_index, _, _, _, attempt, *_ = row
    return TaskReport(run_id, step_slug, task_index, attempt, error_message=describe_error(error))
