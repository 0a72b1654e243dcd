"""One constructor per SQL function: the statement, its arguments, and how its rows become values. No I/O.

A :class:`Call` runs on any psycopg connection::

    call = calls.get_run_with_states(run_id)
    rows = connection.execute(call.sql, call.arguments).fetchall()
    run, steps = call.decode(rows)

JSON crosses as text in both directions, so that values don't depend on what a connection makes of jsonb.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from pgflow.errors import RunNotFound
from pgflow.serialize import decode
from pgflow.types import Json, RunRow, StartedTask, StepProgress, StepState, TaskReport

T = TypeVar("T")
Row: TypeAlias = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A statement in psycopg's style, its arguments, and the decoder of all its rows."""

    sql: str
    arguments: tuple[Any, ...]
    decode: Callable[[Sequence[Row]], T]


_RUN_COLUMNS = (
    "run_id, flow_slug, status, input::text, output::text, remaining_steps, started_at, completed_at, failed_at"
)


def ensure_flow_compiled(
    flow_slug: str, shape: bytes, *, allow_data_loss: bool = False
) -> Call[tuple[str, tuple[str, ...]]]:
    """Register a flow or compare it: `pgflow.ensure_flow_compiled`. Gives the status and the differences."""
    return Call(
        "select pgflow.ensure_flow_compiled(%s, %s::jsonb, %s)::text",
        (flow_slug, shape.decode(), allow_data_loss),
        _compile_result,
    )


def start_flow(flow_slug: str, input: bytes, run_id: UUID | None = None) -> Call[RunRow]:  # noqa: A002 - as in SQL
    """Start a run: `pgflow.start_flow`. Gives the run as it is at the end of the call."""
    return Call(
        f"select {_RUN_COLUMNS} from pgflow.start_flow(%s, %s::jsonb, %s)",
        (flow_slug, input.decode(), run_id),
        lambda rows: _run(rows[0]),
    )


def start_flows(flow_slug: str, inputs: Sequence[bytes]) -> Call[list[RunRow]]:
    """Start one run per input, all or none: `pgflow.start_flows`. Gives them in the order of the inputs."""
    return Call(
        f"select {_RUN_COLUMNS} from pgflow.start_flows(%s, %s::text[]::jsonb[])",
        (flow_slug, [value.decode() for value in inputs]),
        lambda rows: [_run(row) for row in rows],
    )


def get_run(run_id: UUID) -> Call[RunRow]:
    """Read a row of `pgflow.runs`. Decoding raises RunNotFound when there is none."""
    return Call(
        f"select {_RUN_COLUMNS} from pgflow.runs where run_id = %s",
        (run_id,),
        lambda rows: _run(_only(rows, run_id)),
    )


def get_run_with_states(run_id: UUID) -> Call[tuple[RunRow, tuple[StepState, ...]]]:
    """Read a run and its steps: `pgflow.get_run_with_states`. Decoding raises RunNotFound when there is none."""

    def decode_rows(rows: Sequence[Row]) -> tuple[RunRow, tuple[StepState, ...]]:
        text = rows[0][0]
        if text is None:
            raise RunNotFound(run_id)
        found = decode(text)
        return _from_json(RunRow, found["run"]), tuple(_from_json(StepState, step) for step in found["steps"])

    return Call("select pgflow.get_run_with_states(%s)::text", (run_id,), decode_rows)


def get_run_input(run_id: UUID) -> Call[Json]:
    """Read the input of a run. Decoding raises RunNotFound when there is none."""
    return Call(
        "select input::text from pgflow.runs where run_id = %s",
        (run_id,),
        lambda rows: decode(_only(rows, run_id)[0]),
    )


def get_step_progress(run_id: UUID) -> Call[dict[str, StepProgress]]:
    """Count the tasks of each step of a run that has tasks. Gives them by step slug."""
    return Call(
        "select step_slug,"
        " count(*) filter (where status = 'queued'), count(*) filter (where status = 'started'),"
        " count(*) filter (where status = 'completed'), count(*) filter (where status = 'failed'),"
        " max(attempts_count), max(error_message)"
        " from pgflow.step_tasks where run_id = %s group by step_slug",
        (run_id,),
        lambda rows: {row[0]: StepProgress(*row) for row in rows},
    )


def register_worker(worker_id: UUID, queue_name: str, function_name: str) -> Call[None]:
    """Register a worker: `pgflow.register_worker`."""
    return Call("select pgflow.register_worker(%s, %s, %s)", (worker_id, queue_name, function_name), _nothing)


def send_heartbeats(worker_ids: Sequence[UUID]) -> Call[list[UUID]]:
    """Say that workers are alive: `pgflow.send_heartbeats`. Gives those that are asked to leave."""
    return Call("select pgflow.send_heartbeats(%s)", (list(worker_ids),), lambda rows: list(rows[0][0]))


def mark_worker_stopped(worker_id: UUID) -> Call[None]:
    """Say that a worker has ended: `pgflow.mark_worker_stopped`."""
    return Call("select pgflow.mark_worker_stopped(%s)", (worker_id,), _nothing)


def fetch_tasks(flow_slug: str, worker_id: UUID, limit: int) -> Call[list[StartedTask]]:
    """Read messages and start their tasks: `pgflow.fetch_tasks`. Gives the tasks started."""
    return Call(
        "select flow_slug, run_id, step_slug, task_index, input::text, flow_input::text,"
        " message_id, attempt, max_attempts, timeout from pgflow.fetch_tasks(%s, %s, %s)",
        (flow_slug, worker_id, limit),
        lambda rows: [_task(row) for row in rows],
    )


def complete_tasks(reports: Sequence[TaskReport]) -> Call[list[int]]:
    """Report completed tasks: `pgflow.complete_tasks`. Gives the positions, from 0, of the reports that counted."""
    outputs = [None if report.output is None else report.output.decode() for report in reports]
    return Call(
        "select pgflow.complete_tasks(%s, %s, %s, %s::text[]::jsonb[], %s)",
        (*_task_keys(reports), outputs, [report.attempt for report in reports]),
        _positions,
    )


def fail_tasks(reports: Sequence[TaskReport]) -> Call[list[int]]:
    """Report failed tasks: `pgflow.fail_tasks`. Gives the positions, from 0, of the reports that counted."""
    return Call(
        "select pgflow.fail_tasks(%s, %s, %s, %s, %s)",
        (
            *_task_keys(reports),
            [report.error_message for report in reports],
            [report.attempt for report in reports],
        ),
        _positions,
    )


def requeue_stalled_tasks() -> Call[int]:
    """Put stalled tasks back into their queues: `pgflow.requeue_stalled_tasks`. Gives their number."""
    return Call("select pgflow.requeue_stalled_tasks()", (), lambda rows: int(rows[0][0]))


def _task_keys(reports: Sequence[TaskReport]) -> tuple[list[UUID], list[str], list[int]]:
    return (
        [report.run_id for report in reports],
        [report.step_slug for report in reports],
        [report.task_index for report in reports],
    )


def _positions(rows: Sequence[Row]) -> list[int]:
    return [position - 1 for position in rows[0][0]]


def _nothing(rows: Sequence[Row]) -> None:
    """Decode the row of a function that returns void."""


def _only(rows: Sequence[Row], run_id: UUID) -> Row:
    if not rows:
        raise RunNotFound(run_id)
    return rows[0]


def _compile_result(rows: Sequence[Row]) -> tuple[str, tuple[str, ...]]:
    result = decode(rows[0][0])
    return result["status"], tuple(result["differences"])


def _json(text: str | None) -> Json:
    return None if text is None else decode(text)


def _run(row: Row) -> RunRow:
    run_id, flow_slug, status, input_text, output_text, *rest = row
    return RunRow(run_id, flow_slug, status, _json(input_text), _json(output_text), *rest)


def _task(row: Row) -> StartedTask:
    flow_slug, run_id, step_slug, task_index, input_text, flow_input_text, *rest = row
    return StartedTask(flow_slug, run_id, step_slug, task_index, _json(input_text), _json(flow_input_text), *rest)


def _from_json(kind: type[T], row: dict[str, Json]) -> T:
    """Build a row from its JSON form, by the names of its columns; columns this version doesn't know are left out."""
    return kind(**{field.name: _column(field.name, row.get(field.name)) for field in fields(kind)})  # type: ignore[arg-type]


def _column(name: str, value: Json) -> Any:
    if value is None:
        return None
    if name == "run_id":
        return UUID(value)
    if name.endswith("_at"):
        return datetime.fromisoformat(value)
    return value
