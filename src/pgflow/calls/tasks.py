"""Calls of workers about tasks."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pgflow.calls.call import Call, Row, json_value
from pgflow.types import StartedTask, TaskReport


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
        "select pgflow.fail_tasks(%s, %s, %s, %s, %s, %s, %s)",
        (
            *_task_keys(reports),
            [report.error_message for report in reports],
            [report.attempt for report in reports],
            [report.final for report in reports],
            [report.retry_delay for report in reports],
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


def _task(row: Row) -> StartedTask:
    flow_slug, run_id, step_slug, task_index, input_text, flow_input_text, *rest = row
    task_input, flow_input = json_value(input_text), json_value(flow_input_text)
    return StartedTask(flow_slug, run_id, step_slug, task_index, task_input, flow_input, *rest)
