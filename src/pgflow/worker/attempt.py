"""An attempt at a task: the asyncio task that its handler runs in, and how that is brought to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from pgflow.types import StartedTask, TaskReport

CANCELLATION_SECONDS = 5.0
"""What an `async def` handler gets to end after it was cancelled; then it is closed where it waits."""


class Clock:
    """Tells attempts that their time is over: by one timer for all that may take equally long, not by one for each."""

    def __init__(self) -> None:
        self._watched: dict[float, dict[Attempt, None]] = {}

    def watch(self, attempt: Attempt) -> None:
        """Let the attempt expire when its time is over. It begins now."""
        seconds = attempt.task.timeout
        if seconds not in self._watched:
            self._watched[seconds] = {}
            asyncio.get_running_loop().call_later(seconds, self._look, seconds)
        self._watched[seconds][attempt] = None

    def forget(self, attempt: Attempt) -> None:
        """Take no more notice of an attempt; again is fine."""
        if watched := self._watched.get(attempt.task.timeout):
            watched.pop(attempt, None)

    def _look(self, seconds: float) -> None:
        """Let those expire whose time is over, and look again when that of the next one is."""
        watched = self._watched[seconds]
        while watched:
            attempt = next(iter(watched))
            left = attempt.began + seconds - time.monotonic()
            if left > 0:
                asyncio.get_running_loop().call_later(left, self._look, seconds)
                return
            del watched[attempt]
            attempt.expire()
        del self._watched[seconds]


class Attempt:
    """One task while its handler runs, in an asyncio task of its own that is `running` and answers with the report.

    When the time of the task is over it is cancelled, and :attr:`is_late`. What ignores that is closed where it waits
    five seconds later, and again if need be, so that nothing keeps its event loop from ever ending.
    """

    __slots__ = ("_again", "_clock", "_on_end", "began", "is_cancelled", "is_closing", "is_late", "running", "task")

    def __init__(
        self, task: StartedTask, work: Callable[[Attempt], Coroutine[Any, Any, TaskReport]], clock: Clock
    ) -> None:
        self.task = task
        self.began = time.monotonic()
        self.is_late = False
        self.is_cancelled = False
        self.is_closing = False
        """Whether the handler is to be closed where it waits, rather than to be asked once more."""
        self._on_end: Callable[[], None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._clock = clock
        clock.watch(self)
        self.running = asyncio.create_task(work(self), name=_name(task))

    @property
    def deadline(self) -> datetime:
        """When the task times out, by this machine's clock."""
        left = self.began + self.task.timeout - time.monotonic()
        return datetime.fromtimestamp(time.time() + left, UTC)

    def tell_when_it_ends(self, told: Callable[[], None]) -> None:
        """Call this when the handler has ended or is closed."""
        self._on_end = told

    def cancel(self) -> None:
        """Cancel the handler: nobody wants to know what becomes of it."""
        if not self.is_cancelled:
            self.is_cancelled = True
            if not self.is_late:
                self._insist()

    def end(self) -> None:
        """Take no more notice of the time."""
        self._clock.forget(self)
        if self._again is not None:
            self._again.cancel()
        if self._on_end is not None:
            self._on_end()

    def expire(self) -> None:
        """Cancel the handler: its time is over."""
        self.is_late = True
        self._insist()

    def _insist(self) -> None:
        self._clock.forget(self)
        if self.running.cancel():
            self._again = asyncio.get_running_loop().call_later(CANCELLATION_SECONDS, self._close)

    def _close(self) -> None:
        self.is_closing = True
        if self._on_end is not None:
            self._on_end()
        self._insist()


def _name(task: StartedTask) -> str:
    return f"handler of {task.flow_slug}.{task.step_slug}[{task.task_index}]"
