"""When to look at something again that nothing was notified of."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from pgflow.listening.listener import Listener

T = TypeVar("T")

SAFETY_SECONDS = 10.0
"""Pause between two looks while notifications arrive."""

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5


class Pace:
    """Pauses between looks at one run: short and growing while notifications may be missed, long while they arrive."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._pause = _FIRST_PAUSE

    def next_pause(self) -> float:
        """Return the seconds until the next look."""
        if self._listener.is_settled("runs"):
            return SAFETY_SECONDS
        pause, self._pause = self._pause, min(self._pause * 1.5, _LONGEST_PAUSE)
        return pause


class Agenda(Generic[T]):
    """Things with the time when they are due, each once at most.

    A time in the future is rounded up by up to a quarter of the pause, so that things become due together.
    """

    def __init__(self) -> None:
        self._now: set[T] = set()
        self._later: list[tuple[float, int, T]] = []
        self._times: dict[T, float] = {}
        self._numbers = count()
        self._news = asyncio.Event()

    def add_now(self, things: Iterable[T]) -> None:
        """Make things due at once."""
        self._now.update(things)
        if self._now:
            self._news.set()

    def add(self, thing: T, pause: float) -> None:
        """Make a thing due after so many seconds, unless it is already due."""
        if thing in self._now:
            return
        step = pause / 4
        due = math.ceil((asyncio.get_running_loop().time() + pause) / step) * step
        self._times[thing] = due
        heappush(self._later, (due, next(self._numbers), thing))
        if self._later[0][2] is thing:
            self._news.set()  # who waits in `due` waits for less long

    def clear(self) -> None:
        """Forget everything, and let :meth:`due` return."""
        self._now.clear()
        self._later.clear()
        self._times.clear()
        self._news.set()

    async def due(self) -> list[T]:
        """Wait until things are due, and take them; none after :meth:`clear`, or when another thing is due first."""
        if not self._now:
            try:
                async with asyncio.timeout_at(self._later[0][0] if self._later else None):
                    await self._news.wait()
            except TimeoutError:
                pass
        self._news.clear()
        now = asyncio.get_running_loop().time()
        while self._later and self._later[0][0] <= now:
            due, _, thing = heappop(self._later)
            if self._times.get(thing) == due:
                self._now.add(thing)
        taken, self._now = list(self._now), set()
        for thing in taken:
            self._times.pop(thing, None)
        return taken
