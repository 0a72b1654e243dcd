"""What became of a task, as a value, and how a return or an exception becomes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pgflow.serialize import describe_error
from pgflow.types import StartedTask, TaskReport


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; `output` is JSON text."""

    output: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler, or something around it, raised."""

    error_message: str


Outcome: TypeAlias = Completed | Failed


def failed(error: BaseException) -> Failed:
    """Return the outcome of a handler that raised."""
    return Failed(describe_error(error))


def timed_out(timeout: int) -> Failed:
    """Return the outcome of a handler that took longer than `timeout` seconds."""
    return Failed(f"Task timed out after {timeout}s")


def report(task: StartedTask, outcome: Outcome) -> TaskReport:
    """Return what the database is told about a task."""
    match outcome:
        case Completed(output):
            return TaskReport(task.run_id, task.step_slug, task.task_index, task.attempt, output=output)
        case Failed(error_message):
            return TaskReport(task.run_id, task.step_slug, task.task_index, task.attempt, error_message=error_message)
