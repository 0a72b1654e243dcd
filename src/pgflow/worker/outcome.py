"""What became of a task, as a value, and how a return or an exception becomes one."""

from __future__ import annotations

import threading
import traceback
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, TypeAlias

from pgflow.calls import Exchanged
from pgflow.errors import NonRetryable, Retry, Snooze
from pgflow.serialize import ERROR_LIMIT, describe_error, storable
from pgflow.types import StartedTask, TaskReport

_TRACEBACK_LIMIT: Final = 20_000
_PACKAGE: Final = Path(__file__).parent.parent
_AROUND_HANDLERS: Final = tuple(
    str(_PACKAGE / name) for name in ("worker", "binding.py", "serialize.py", "validation.py")
)


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; `output` is JSON text. If it is `recorded`, the database has said what followed."""

    output: bytes
    recorded: Exchanged | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler, or something around it, raised. No other attempt follows a failure that is `final`.

    `retry_delay`, in seconds, is when it asked for the next one. The traceback is for logs, not for the database.
    """

    error_message: str
    final: bool = False
    retry_delay: int | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """The task goes back to its queue for `delay` seconds, and the attempt isn't counted."""

    delay: int


Outcome: TypeAlias = Completed | Failed | Released


def raised(error: BaseException) -> Outcome:
    """Return the outcome of a handler that raised."""
    match error:
        case Snooze():
            return Released(error.seconds)
        case Retry():
            return Failed(_with_cause(error), retry_delay=error.after, traceback=describe_traceback(error))
        case NonRetryable():
            return Failed(_with_cause(error), final=True, traceback=describe_traceback(error))
        case _:
            return failed(error)


def failed(error: BaseException) -> Failed:
    """Return the failure that an exception is, wherever it comes from."""
    return Failed(describe_error(error), traceback=describe_traceback(error))


def timed_out(timeout: int, *, traceback: str | None = None) -> Failed:
    """Return the outcome of a handler that took longer than `timeout` seconds; the traceback says where it was."""
    return Failed(f"Task timed out after {timeout}s", traceback=traceback)


def report(task: StartedTask, outcome: Outcome) -> TaskReport:
    """Return what the database is told about a task."""
    key = (task.run_id, task.step_slug, task.task_index, task.attempt)
    match outcome:
        case Completed(output, followed):
            if followed is None:
                return TaskReport(*key, output=output)
            skipped_steps, ended_runs = tuple(followed.skipped_steps), tuple(followed.ended_runs)
            return TaskReport(*key, output=output, recorded=True, skipped_steps=skipped_steps, ended_runs=ended_runs)
        case Failed():
            return TaskReport(
                *key,
                error_message=outcome.error_message,
                final=outcome.final,
                retry_delay=outcome.retry_delay,
                traceback=outcome.traceback,
            )
        case Released(delay):
            return TaskReport(*key, release_delay=delay)


def describe_traceback(error: BaseException) -> str | None:
    """Return the traceback from the handler on, its last 20,000 characters; None if the handler isn't in it.

    Never raises, whatever the exception is made of.
    """
    frames = _handler_part(error.__traceback__)
    if frames is None:
        return None
    try:
        lines = traceback.format_exception(type(error), error, frames)
    except Exception:
        lines = traceback.format_tb(frames)
    return storable("".join(lines)[-_TRACEBACK_LIMIT:])


def describe_stack(frame: FrameType) -> str:
    """Return where a thread is, from the handler on, in the form of a traceback."""
    frames = list(dropwhile(_is_around_handlers, traceback.extract_stack(frame)))
    if not frames:
        return ""
    return storable("".join(["Stack (most recent call last):\n", *traceback.format_list(frames)])[-_TRACEBACK_LIMIT:])


def _is_around_handlers(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith((*_AROUND_HANDLERS, threading.__file__))


def _handler_part(frames: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this package that lead to the handler."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_AROUND_HANDLERS):
        frames = frames.tb_next
    return frames


def _with_cause(error: BaseException) -> str:
    """Describe an error that says little by itself together with the one that it was raised for."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    text = describe_error(error)
    return text if cause is None else storable(f"{text} ({describe_error(cause)})"[:ERROR_LIMIT])
