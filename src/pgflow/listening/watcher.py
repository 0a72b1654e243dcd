"""Waiting for any number of runs, with one statement for all of them, or for the few that something is known of."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Protocol, TypeAlias, TypeVar
from uuid import UUID

from pgflow import calls
from pgflow.calls import Call
from pgflow.errors import ConnectionLost, RunNotFound
from pgflow.listening.listener import Listener, Subscription
from pgflow.listening.memory import Memory
from pgflow.listening.pace import Agenda, Pace
from pgflow.types import RunRow, RunStatus, StepState

T = TypeVar("T")
RunWithStates: TypeAlias = tuple[RunRow, tuple[StepState, ...]]

PATIENCE_SECONDS = 60.0
"""How long the database may be gone before those who wait are told."""

_LONGEST_TIME_BETWEEN_LOOKS = 0.005
_TIME_BETWEEN_LOOKS_FOR_EACH_WAIT = 0.0001
_PAUSE_IN_OUTAGE = 0.5
FIRST_LOOK_SECONDS = 0.2
"""When to look at a run that was just started here: looking costs the worker that takes it time, so not at once."""
LATEST_FIRST_LOOK_SECONDS = 1.0
"""How long a wait that is shorter goes on until the database has answered once."""
_RUNS_PER_LOOK = 10_000
_RUNS_PER_READ = 10
"""Few, because a run may be large: of more than these, those that have ended are found out first."""

_WORTH_READING = (None, RunStatus.COMPLETED, RunStatus.FAILED)


class AsyncDatabase(Protocol):
    """What runs calls."""

    async def run(self, call: Call[T]) -> T:
        """Run a call."""


class _Wait:
    """One wait for the end of a run."""

    def __init__(self, run_id: UUID, mark: int | None, pace: Pace) -> None:
        self.run_id = run_id
        self.digest = digest(run_id)
        self.mark = mark
        self.ended: asyncio.Future[RunWithStates] = asyncio.get_running_loop().create_future()
        self.looked = asyncio.Event()
        self.pace = pace

    def refuse(self, error: Exception) -> None:
        """Raise an error where it is waited."""
        if not self.ended.done():
            self.ended.set_exception(error)

    def judge(self, found: RunWithStates | None) -> None:
        """End with the run as it is now, if it has ended."""
        if found is not None and found[0].ended and not self.ended.done():
            self.ended.set_result(found)

    def close(self) -> None:
        """Take no more notice of the run."""
        if not self.ended.cancel() and not self.ended.cancelled():
            self.ended.exception()  # nobody has to be told


class AsyncRunWatcher:
    """Waits for runs to end or to change, through a listener and by looking now and then.

    One look is under way at a time; what is notified meanwhile is looked at together after it.
    """

    def __init__(self, database: AsyncDatabase, listener: Listener) -> None:
        self.listener = listener
        self._memory = Memory(listener)
        self._database = database
        self._waits: dict[str, set[_Wait]] = {}  # by digest of the run id
        self._agenda: Agenda[_Wait] = Agenda()
        self._looking: asyncio.Task[None] | None = None

    def mark(self) -> int | None:
        """Return what :meth:`ended` may be told of runs that are started from now on, each in its own transaction."""
        return self._memory.mark()

    async def ended(self, run_id: UUID, timeout: float | None = None, mark: int | None = None) -> RunWithStates | None:
        """Wait for the end of a run, at most `timeout` seconds, and return it with its steps; None before its end.

        However short `timeout` is, the run is looked at once, unless that takes longer than a second.
        `mark` is that of before its start, where the run was started here: it isn't looked at at once then, if nothing
        was heard of it. Raises RunNotFound for a run that was deleted, and ConnectionLost when the database was gone
        for a minute.
        """
        wait = _Wait(run_id, mark, Pace(self.listener))
        self._waits.setdefault(wait.digest, set()).add(wait)
        if self._looking is None or self._looking.done():
            self._agenda = Agenda()
            subscription = self.listener.subscribe("runs", self._hear)
            self._looking = asyncio.create_task(self._look_until_ended(subscription), name="pgflow-run-watcher")
        if self._is_as_started(wait):
            self._agenda.add(wait, FIRST_LOOK_SECONDS)
        else:
            self._agenda.add_now([wait])
        try:
            await asyncio.wait([wait.ended], timeout=timeout)
            if timeout is not None and not wait.ended.done():
                await self._look_once(wait, LATEST_FIRST_LOOK_SECONDS - max(timeout, 0))
            return wait.ended.result() if wait.ended.done() else None
        finally:
            wait.close()
            self._forget(wait)

    def changes(self, run_id: UUID) -> RunChanges:
        """Return what tells of changes of a run; a context manager."""
        return RunChanges(run_id, self.listener)

    async def close(self) -> None:
        """End all waits with ConnectionLost, and close the listener; again is fine."""
        for wait in self._all():
            wait.refuse(ConnectionLost(f"the client was closed while it waited for run {wait.run_id}"))
        if self._looking is not None:
            looking, self._looking = self._looking, None
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        await self.listener.close()

    async def _look_once(self, wait: _Wait, seconds: float) -> None:
        """Look at a run now, and wait for that so many seconds, unless it was looked at before."""
        if wait.looked.is_set():
            return
        self._agenda.add_now([wait])
        try:
            async with asyncio.timeout(seconds):
                await wait.looked.wait()
        except TimeoutError:
            pass

    def _all(self) -> list[_Wait]:
        return [wait for waits in self._waits.values() for wait in waits]

    def _forget(self, wait: _Wait) -> None:
        waits = self._waits.get(wait.digest, set())
        waits.discard(wait)
        if not waits:
            self._waits.pop(wait.digest, None)
        if not self._waits:
            self._agenda.clear()

    def _hear(self, payload: str) -> None:
        """Look soon at the runs that a notification names, or at all."""
        if payload:
            named = [wait for run in payload.split(",") for wait in self._waits.get(run, ())]
            self._agenda.add_now(wait for wait in named if not self._is_as_started(wait))
        else:
            self._agenda.add_now(self._all())

    def _is_as_started(self, wait: _Wait) -> bool:
        return self._memory.is_as_started(wait.digest, wait.mark)

    async def _look_until_ended(self, subscription: Subscription) -> None:
        failing_since: float | None = None
        with subscription:
            while self._waits:
                waits = [wait for wait in await self._agenda.due() if not wait.ended.done()]
                try:
                    await self._look(waits)
                    failing_since = None
                    await asyncio.sleep(self._time_between_looks())
                except ConnectionLost as error:
                    now = asyncio.get_running_loop().time()
                    failing_since = failing_since or now
                    for wait in waits:
                        wait.looked.set()
                    if now - failing_since > PATIENCE_SECONDS:
                        for wait in self._all():
                            wait.refuse(error)
                    self._agenda.add_now(waits)
                    await asyncio.sleep(_PAUSE_IN_OUTAGE)

    def _time_between_looks(self) -> float:
        """Return for how long to gather notifications: the more runs are waited for, the more will come."""
        return min(len(self._waits) * _TIME_BETWEEN_LOOKS_FOR_EACH_WAIT, _LONGEST_TIME_BETWEEN_LOOKS)

    async def _look(self, waits: list[_Wait]) -> None:
        """Look at the runs of these waits, end those whose run has ended, and put the others on the agenda again."""
        waits_of: dict[UUID, list[_Wait]] = {}
        for wait in waits:
            waits_of.setdefault(wait.run_id, []).append(wait)
        try:
            run_ids = await self._select(list(waits_of))
        except ConnectionLost:
            raise
        except Exception as error:
            for wait in waits:
                wait.refuse(error)
                wait.looked.set()
            return
        for first in range(0, len(run_ids), _RUNS_PER_READ):
            await self._read({run_id: waits_of[run_id] for run_id in run_ids[first : first + _RUNS_PER_READ]})
        for wait in waits:
            wait.looked.set()
            if not wait.ended.done():
                self._agenda.add(wait, wait.pace.next_pause())

    async def _select(self, run_ids: list[UUID]) -> list[UUID]:
        """Return which of these runs to read: all if they are few, else those that have ended or don't exist."""
        if len(run_ids) <= _RUNS_PER_READ:
            return run_ids
        statuses: dict[UUID, str] = {}
        for first in range(0, len(run_ids), _RUNS_PER_LOOK):
            found = await self._database.run(calls.get_run_statuses(run_ids[first : first + _RUNS_PER_LOOK]))
            statuses |= found
        return [run_id for run_id in run_ids if statuses.get(run_id) in _WORTH_READING]

    async def _read(self, waits_of: dict[UUID, list[_Wait]]) -> None:
        """Read these runs and judge their waits; where that is refused, each run alone, so that one can't hurt others.

        Only waits that began before are judged: a run may have failed, been retried, and be waited for again.
        """
        try:
            found = await self._database.run(calls.get_runs_if_ended(list(waits_of)))
        except ConnectionLost:
            raise
        except Exception as error:
            if len(waits_of) > 1:
                for run_id, waits in waits_of.items():
                    await self._read({run_id: waits})
                return
            [waits] = waits_of.values()
            for wait in waits:
                wait.refuse(error)
            return
        for run_id, waits in waits_of.items():
            for wait in waits:
                if run_id in found:
                    wait.judge(found[run_id])
                else:
                    wait.refuse(RunNotFound(run_id))


class RunChanges:
    """Tells of changes of one run: of each, or of many at once. A context manager."""

    def __init__(self, run_id: UUID, listener: Listener) -> None:
        self._digest = digest(run_id)
        self._listener = listener
        self._pace = Pace(listener)
        self._changed = asyncio.Event()
        self._subscription: Subscription | None = None

    def __enter__(self) -> RunChanges:
        self._subscription = self._listener.subscribe("runs", self._hear)
        return self

    def __exit__(self, *_: Any) -> None:
        if self._subscription is not None:
            self._subscription.close()

    async def next(self, timeout: float | None = None) -> None:
        """Wait until the run may have changed since the last call, at most `timeout` seconds."""
        pause = self._pace.next_pause()
        try:
            async with asyncio.timeout(pause if timeout is None else min(pause, timeout)):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    def _hear(self, payload: str) -> None:
        if not payload or self._digest in payload:
            self._changed.set()


def digest(run_id: UUID) -> str:
    """Return what notifications call a run; its id would let whoever listens look at it."""
    return hashlib.sha256(run_id.bytes).hexdigest()[:8]
