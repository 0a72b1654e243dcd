"""Logs of workers: what is written for events, and how records look.

Everything goes through :mod:`logging`, below the logger `pgflow`. Records about a task carry `flow_slug`, `run_id`,
`step_slug`, `task_index` and `attempt` as attributes, those about an event its name as `event`, its measurements and
its metadata. Inputs and outputs are never logged.

An application with its own configuration of :mod:`logging` needs nothing from here; :class:`JsonFormatter` and
:class:`PrettyFormatter` can be used in it. Others call :func:`configure` once.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, TextIO, TypeAlias
from uuid import UUID

from pydantic_core import to_json

from pgflow import telemetry

Format: TypeAlias = Literal["auto", "pretty", "json"]
Level: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]

_SHOWN_ERROR = 200
_CONSUMER = "pgflow.logs"
_BINDER = "pgflow.logs.context"
_PAYLOADS = ("output", "traceback")
_BOUND = ("flow_slug", "run_id", "step_slug", "task_index", "attempt")
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_CONTROL_CHARACTERS = dict.fromkeys((*range(32), *range(127, 160)), "�")
_LINE_CHARACTERS = {9: "\t", 10: "\n"}

_current_task: ContextVar[Mapping[str, Any] | None] = ContextVar("pgflow_current_task", default=None)


def configure(format: Format = "auto", level: Level = "info", *, stream: TextIO | None = None) -> None:  # noqa: A002 - the public name
    """Write the logs of this process to `stream`, by default standard error, and log events.

    `format` is `pretty`, one line for people; `json`, one object per line; or `auto`, pretty on a terminal and JSON
    elsewhere. `level` is that of the logger `pgflow`; other loggers keep theirs. As with
    `logging.basicConfig(force=True)`, the handlers of the root logger are replaced. Records written inside a handler of
    a task carry its fields, whichever logger they come from. Raises ValueError for an unknown format or level.
    """
    stream = stream or sys.stderr
    formatter = _formatter(format, stream)
    logging.getLogger("pgflow").setLevel(level.upper())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(_bind_current_task)
    logging.basicConfig(handlers=[handler], force=True)
    telemetry.detach(_BINDER)
    telemetry.attach(_BINDER, "task.start", _remember_current_task)
    log_events()


def log_events() -> None:
    """Log those events whose level is enabled. Workers do it when they start; again after levels were changed.

    `telemetry.detach("pgflow.logs")` ends it.
    """
    telemetry.detach(_CONSUMER)
    wanted = [event for event, line in _LINES.items() if line.logger.isEnabledFor(line.level)]
    if wanted:
        telemetry.attach(_CONSUMER, wanted, _log_event, payloads=True)  # for the traceback; outputs aren't logged


def task_name(fields: Mapping[str, Any]) -> str:
    """Return how texts name the task, step or run that a record is about: `[flow.step[0] run]`; empty without one."""
    if "run_id" not in fields:
        return ""
    step = f".{fields['step_slug']}" if "step_slug" in fields else ""
    index = f"[{fields['task_index']}]" if "task_index" in fields else ""
    return f"[{fields.get('flow_slug', '')}{step}{index} {fields['run_id']}]"


class _Formatter(logging.Formatter):
    def _traceback(self, record: logging.LogRecord) -> str:
        text = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        return (text or "").rstrip()


class JsonFormatter(_Formatter):
    """One JSON object per line: `time` in UTC, `level`, `logger`, `message`, all fields, and `traceback` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; fields that JSON doesn't have are written as text."""
        fields = _fields(record)
        message, name = record.getMessage(), task_name(fields)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message.removeprefix(f"{name} ") if name else message,
        }
        line |= {f"{key}_" if key in line else key: value for key, value in fields.items()}
        if traceback := self._traceback(record):
            line["traceback"] = traceback
        try:
            return to_json(line, inf_nan_mode="null", serialize_unknown=True).decode()
        except (ValueError, RecursionError):  # circular, or lone surrogates
            return json.dumps({key: value if isinstance(value, str) else repr(value) for key, value in line.items()})


class PrettyFormatter(_Formatter):
    """A line for people: time, level, message. `colours` are for terminals only. Errors are cut at 200 characters."""

    _COLOURS: ClassVar[Mapping[int, str]] = {
        logging.DEBUG: "\x1b[2m",
        logging.WARNING: "\x1b[33m",
        logging.ERROR: "\x1b[31m",
        logging.CRITICAL: "\x1b[1;31m",
    }

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, and below it the traceback if there is one."""
        fields = _fields(record)
        message, name = record.getMessage(), task_name(fields)
        if name and not message.startswith(name):
            message = f"{name} {message}"
        if isinstance(error := fields.get("error"), str) and error:
            message = message.replace(error, _shortened(error))
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = self._coloured(f"{record.levelname:<8}", self._COLOURS.get(record.levelno, ""))
        line = f"{self._coloured(time, self._COLOURS[logging.DEBUG])} {level} {_harmless(message)}"
        traceback = self._traceback(record)
        return f"{line}\n{_harmless(traceback)}" if traceback else line

    def _coloured(self, text: str, colour: str) -> str:
        return f"{colour}{text}\x1b[0m" if self._colours and colour else text


@dataclass(frozen=True, slots=True)
class _Line:
    """What is logged for an event: where, at which level, and the text after the name of its task, step or run."""

    logger_name: str
    level: int
    text: str

    @property
    def logger(self) -> logging.Logger:
        return logging.getLogger(self.logger_name)


_LINES: Mapping[str, _Line] = {
    "poll.stop": _Line("pgflow.worker", logging.DEBUG, "flow {flow_slug}: {task_count} tasks to start"),
    "task.start": _Line("pgflow.task", logging.DEBUG, "started, attempt {attempt} of {max_attempts}"),
    "task.stop": _Line("pgflow.task", logging.INFO, "completed in {duration:.3f} s"),
    "task.exception": _Line(
        "pgflow.task", logging.WARNING, "failed, attempt {attempt} of {max_attempts}, {next}: {error}"
    ),
    "task.discarded": _Line("pgflow.task", logging.INFO, "attempt {attempt} doesn't count: {reason}"),
    "step.skipped": _Line("pgflow.run", logging.INFO, "skipped: {skip_reason}"),
    "run.started": _Line("pgflow.run", logging.DEBUG, "started"),
    "run.completed": _Line("pgflow.run", logging.INFO, "completed in {duration:.3f} s"),
    "run.failed": _Line("pgflow.run", logging.ERROR, "failed after {duration:.3f} s: {error}"),
    "flow.ensured": _Line("pgflow.worker", logging.INFO, "flow {flow_slug}: {status}"),
    "flow.deleted": _Line("pgflow.worker", logging.WARNING, "flow {flow_slug}: deleted with all its runs"),
}


def _log_event(event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
    line = _LINES[event]
    if event == "poll.stop" and not measurements["task_count"]:
        return
    harmless = {key: _plain(value) for key, value in metadata.items() if key not in _PAYLOADS}
    fields = {"event": event, **measurements, **harmless}
    text = f"{task_name(fields)} {line.text.format(**fields, next=_next_attempt(metadata))}".lstrip()
    logger = line.logger
    record = logger.makeRecord(logger.name, line.level, __file__, 0, text, (), None, extra=fields)
    record.exc_text = metadata.get("traceback")  # every formatter writes it below the message
    logger.handle(record)


def _next_attempt(metadata: Mapping[str, Any]) -> str:
    delay = metadata.get("retry_delay")
    return "no other follows" if delay is None else f"the next in {delay:g} s"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def _remember_current_task(event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
    _current_task.set({key: _plain(metadata[key]) for key in _BOUND})  # ends with the context of the task


def _bind_current_task(record: logging.LogRecord) -> bool:
    task = _current_task.get()
    if task and not any(key in record.__dict__ for key in _BOUND):  # it may be about another run, started by this task
        record.__dict__.update(task)
    return True


def _formatter(format: Format, stream: TextIO) -> logging.Formatter:  # noqa: A002 - as above
    if format not in ("auto", "pretty", "json"):
        raise ValueError(f"no log format {format!r}; formats: auto, pretty, json")
    is_terminal = stream.isatty()
    if format == "json" or (format == "auto" and not is_terminal):
        return JsonFormatter()
    return PrettyFormatter(colours=is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was given as `extra`, and the task's fields."""
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


def _shortened(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= _SHOWN_ERROR else f"{line[: _SHOWN_ERROR - 1]}…"


def _harmless(text: str) -> str:
    """Replace control characters, which could do something to the terminal."""
    return text.translate(_CONTROL_CHARACTERS | _LINE_CHARACTERS)
