"""Fetching tasks, so that one whose input can't be read doesn't cost the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pgflow import calls
from pgflow.calls import Call
from pgflow.errors import InvalidInput
from pgflow.serialize import describe_error
from pgflow.types import StartedTask, TaskReport


@dataclass(frozen=True, slots=True)
class Fetched:
    """Tasks that have been started, and failures of those that hold what Python can't: too deep, too long a number."""

    tasks: list[StartedTask] = field(default_factory=list)
    unreadable: list[TaskReport] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tasks or self.unreadable)


def fetch_tasks(flow_slug: str, worker_id: UUID, limit: int) -> Call[Fetched]:
    """Read messages and start their tasks, as :func:`pgflow.calls.fetch_tasks`, which gives all or raises."""
    call = calls.fetch_tasks(flow_slug, worker_id, limit)

    def decode(rows: Sequence[Sequence[Any]]) -> Fetched:
        fetched = Fetched()
        for row in rows:
            try:
                fetched.tasks.extend(call.decode([row]))
            except InvalidInput as error:
                fetched.unreadable.append(_failure(row, error))
        return fetched

    return Call(call.sql, call.arguments, decode)


def _failure(row: Sequence[Any], error: InvalidInput) -> TaskReport:
    _, run_id, step_slug, task_index, _, _, _, attempt, *_ = row
    return TaskReport(run_id, step_slug, task_index, attempt, error_message=describe_error(error))
