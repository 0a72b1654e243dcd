"""The events that a process tells about its work, and the bus that carries them.

::

    from pgflow import telemetry

    def count(event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
        print(event, metadata["step_slug"], f"{measurements['duration']:.3f} s")

    telemetry.attach("counter", ["task.stop", "task.exception"], count)

Handlers are plain functions. They are called where the event happens, on the event loop as a rule, so they have to be
quick. One that raises is logged and stays attached; it hurts neither the task nor the other handlers. An event that
nobody is attached to costs nothing.

:data:`EVENTS` and :data:`FIELDS` are the only list of what there is: `docs/telemetry.md` is written from them, and
:func:`emit` refuses what isn't in them.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID

from pgflow.types import EndedRun, RunRow, RunStatus, StartedTask

Handler: TypeAlias = Callable[[str, Mapping[str, float], Mapping[str, Any]], object]
"""What can be attached: called with the event's name, its measurements and its metadata, all read-only."""

logger = logging.getLogger("pgflow.telemetry")

_SECONDS_BETWEEN_COMPLAINTS = 60.0
_CAUGHT = (Exception, SystemExit, asyncio.CancelledError)


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event. `measurements` are numbers, `metadata` says about what; `payloads` are metadata on request."""

    name: str
    meaning: str
    measurements: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    payloads: tuple[str, ...] = ()


_WORKER = ("worker_id", "worker_name", "flow_slug")
_POLL = ("worker_id", "flow_slug", "active_tasks")
_TASK = ("flow_slug", "run_id", "step_slug", "task_index", "attempt", "max_attempts", "worker_id")
_RUN = ("flow_slug", "run_id")

EVENTS: Mapping[str, Event] = MappingProxyType(
    {
        event.name: event
        for event in (
            Event("worker.start", "A worker begins to fetch tasks of a flow.", ("system_time",), _WORKER),
            Event("worker.stop", "It has ended.", ("duration",), (*_WORKER, "stop_reason")),
            Event("poll.start", "A worker asks for tasks of a flow.", ("system_time",), _POLL),
            Event("poll.stop", "It has the answer.", ("duration", "task_count"), _POLL),
            Event("task.start", "An attempt at a task begins.", ("system_time",), _TASK),
            Event("task.stop", "The database took its output.", ("duration",), _TASK, ("output",)),
            Event(
                "task.exception",
                "The database took its failure.",
                ("duration",),
                (*_TASK, "error", "retry_delay"),
                ("traceback",),
            ),
            Event("task.discarded", "It ended without an outcome that counts.", ("duration",), (*_TASK, "reason")),
            Event(
                "step.skipped",
                "A report of this process skipped a step.",
                ("system_time",),
                (*_RUN, "step_slug", "skip_reason"),
            ),
            Event("run.started", "This process started a run, or retried it.", ("system_time",), _RUN),
            Event("run.completed", "A report, start or retry of this process completed a run.", ("duration",), _RUN),
            Event(
                "run.failed",
                "A report, start, retry or cancellation of this process failed a run.",
                ("duration",),
                (*_RUN, "error"),
            ),
            Event("flow.ensured", "A flow was registered or compared.", (), ("flow_slug", "status")),
            Event("flow.deleted", "A flow was deleted with its runs, if it was there.", (), ("flow_slug",)),
        )
    }
)
"""Every event by its name."""

ALL: tuple[str, ...] = tuple(EVENTS)
"""The names of all events, for :func:`attach`."""

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "system_time": "float: when, in seconds since 1970 by this machine's clock, as `time.time()`",
        "duration": "float: seconds; of a run by the database's clock, else by this machine's",
        "task_count": "int: tasks handed over",
        "worker_id": "UUID: a process has one for each flow it works",
        "worker_name": "str: the worker's `name`",
        "flow_slug": "str",
        "run_id": "UUID",
        "step_slug": "str",
        "task_index": "int: from 0",
        "attempt": "int: from 1",
        "max_attempts": "int",
        "active_tasks": "int: tasks of all flows that the process works on at that moment",
        "stop_reason": "str: `operator`, `deprecated`, or `broken` when its loop has raised",
        "error": "str: type and message of what was raised",
        "retry_delay": "float or None: seconds until the next attempt; None when no other follows",
        "reason": (
            "str: `snoozed` or `released` when the task went back to its queue, `taken away` when it was cancelled"
            " or given to another worker, `late` when the database knew better"
        ),
        "skip_reason": "str: `condition_unmet`, `handler_failed` or `dependency_skipped`",
        "status": "str: `compiled`, `verified` or `recompiled`",
        "output": "bytes: JSON text; only for handlers attached with `payloads=True`",
        "traceback": "str or None: of what was raised; only for handlers attached with `payloads=True`",
    }
)
"""Type, unit and meaning of every measurement and metadata field."""


@dataclass(slots=True)
class _Subscriber:
    """An attached handler and what is known about its failures."""

    name: str
    handler: Handler
    payloads: bool
    failures: int = 0
    silent_until: float = float("-inf")

    def tell(self, event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
        """Call the handler; log what it raises, at most once a minute."""
        try:
            self.handler(event, measurements, metadata)
        except _CAUGHT:
            self.failures += 1
            if time.monotonic() >= self.silent_until:
                text = "telemetry handler %r raised at %s, its failure number %d; it stays attached"
                logger.exception(text, self.name, event, self.failures)
                self.silent_until = time.monotonic() + _SECONDS_BETWEEN_COMPLAINTS


_changing = threading.Lock()
_names: set[str] = set()
_subscribers: dict[str, tuple[_Subscriber, ...]] = dict.fromkeys(EVENTS, ())


def attach(name: str, events: str | Iterable[str], handler: Handler, *, payloads: bool = False) -> None:
    """Call `handler(event, measurements, metadata)` at these events, from now on, in this process.

    `name` is for :func:`detach`. `events` is one name, several, or :data:`ALL`. Outputs and tracebacks are only in the
    metadata of handlers with `payloads`. Raises ValueError for a name in use, an event that doesn't exist or no event
    at all, and TypeError for a handler that isn't a plain function.
    """
    wanted = (events,) if isinstance(events, str) else tuple(dict.fromkeys(events))
    if not wanted:
        raise ValueError(f"name at least one event for {name!r}, or pass telemetry.ALL")
    for event in wanted:
        _require_known(event)
    _require_plain_function(handler)
    subscriber = _Subscriber(name, handler, payloads)
    with _changing:
        if name in _names:
            raise ValueError(f"a telemetry handler is attached as {name!r}; detach it first")
        _names.add(name)
        for event in wanted:
            _subscribers[event] += (subscriber,)


def detach(name: str) -> bool:
    """Call the handler of this name no more. Returns whether there was one."""
    with _changing:
        if name not in _names:
            return False
        _names.remove(name)
        for event, subscribers in _subscribers.items():
            _subscribers[event] = tuple(each for each in subscribers if each.name != name)
        return True


def is_observed(event: str) -> bool:
    """Whether somebody is attached to an event, so that it is worth building. Raises ValueError if there is none."""
    try:
        return bool(_subscribers[event])
    except KeyError:
        raise _unknown(event) from None


def emit(event: str, measurements: Mapping[str, float], metadata: Mapping[str, Any]) -> None:
    """Tell the handlers attached to an event; whatever they raise is logged.

    Payloads may be left out. Raises ValueError when the event, or one of the keys, isn't the one in :data:`EVENTS`.
    """
    _require_known(event)
    declared = EVENTS[event]
    missing_or_odd = {*metadata} ^ {*declared.metadata}
    if {*measurements} != {*declared.measurements} or not missing_or_odd <= {*declared.payloads}:
        raise ValueError(
            f"{event} has measurements {declared.measurements} and metadata {declared.metadata + declared.payloads}, "
            f"not {tuple(measurements)} and {tuple(metadata)}"
        )
    subscribers = _subscribers[event]
    if not subscribers:
        return
    numbers, everything = MappingProxyType({**measurements}), MappingProxyType({**metadata})
    harmless = MappingProxyType({key: metadata[key] for key in declared.metadata})
    for subscriber in subscribers:
        subscriber.tell(event, numbers, everything if subscriber.payloads else harmless)


def task_metadata(task: StartedTask, worker_id: UUID) -> dict[str, Any]:
    """Return the metadata that all events of a task have."""
    return {
        "flow_slug": task.flow_slug,
        "run_id": task.run_id,
        "step_slug": task.step_slug,
        "task_index": task.task_index,
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "worker_id": worker_id,
    }


def tell_of_start(run: RunRow) -> None:
    """Tell that this process started a run, and its end if it ended at once: when no step had anything to do."""
    about = {"flow_slug": run.flow_slug, "run_id": run.run_id}
    if is_observed("run.started"):
        emit("run.started", {"system_time": time.time()}, about)
    if run.completed_at is not None:
        emit("run.completed", {"duration": (run.completed_at - run.started_at).total_seconds()}, about)
    elif run.failed_at is not None:
        duration = (run.failed_at - run.started_at).total_seconds()
        emit("run.failed", {"duration": duration}, {**about, "error": "the condition of a step isn't met"})


def tell_of_retry(flow_slug: str, run_id: UUID) -> None:
    """Tell that this process let a run go on."""
    if is_observed("run.started"):
        emit("run.started", {"system_time": time.time()}, {"flow_slug": flow_slug, "run_id": run_id})


def tell_of_end(run: EndedRun) -> None:
    """Tell that this process completed or failed a run."""
    about = {"flow_slug": run.flow_slug, "run_id": run.run_id}
    if run.status == RunStatus.COMPLETED:
        emit("run.completed", {"duration": run.seconds}, about)
    else:
        emit("run.failed", {"duration": run.seconds}, {**about, "error": run.error_message})


def _require_plain_function(handler: object) -> None:
    if not callable(handler) or inspect.iscoroutinefunction(handler):
        raise TypeError(f"a telemetry handler is a plain function, not {handler!r}")


def _require_known(event: str) -> None:
    if event not in EVENTS:
        raise _unknown(event)


def _unknown(event: str) -> ValueError:
    return ValueError(f"no event {event!r}; events: {', '.join(ALL)}")
