"""An attempt at a task: the asyncio task that its handler runs in, and how that is brought to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from pgflow.types import StartedTask, TaskReport

CANCELLATION_SECONDS = 5.0
"""What an `async def` handler gets to end after it was cancelled; then it is closed where it waits."""


class Attempt:
    """One task while its handler runs, in an asyncio task of its own that is `running` and answers with the report.

    When the time of the task is over it is cancelled, and :attr:`is_late`. What ignores that is closed where it waits
    five seconds later, and again if need be, so that nothing keeps its event loop from ever ending.
    """

    __slots__ = ("_on_end", "_timer", "began", "is_cancelled", "is_closing", "is_late", "running", "task")

    def __init__(
        self, task: StartedTask, work: Callable[[Attempt], Coroutine[Any, Any, TaskReport]], name: str | None = None
    ) -> None:
        self.task = task
        self.began = time.monotonic()
        self.is_late = False
        self.is_cancelled = False
        self.is_closing = False
        """Whether the handler is to be closed where it waits, rather than to be asked once more."""
        self._on_end: Callable[[], None] | None = None
        loop = asyncio.get_running_loop()
        self.running = loop.create_task(work(self), name=name)
        self._timer = loop.call_later(task.timeout, self._expire)

    @property
    def deadline(self) -> datetime:
        """When the task times out, by this machine's clock."""
        return datetime.now(UTC) + timedelta(seconds=self.began + self.task.timeout - time.monotonic())

    def tell_when_it_ends(self, told: Callable[[], None]) -> None:
        """Call this when the handler has ended or is closed."""
        self._on_end = told

    def cancel(self) -> None:
        """Cancel the handler: nobody wants to know what becomes of it."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self._insist()

    def end(self) -> None:
        """Stop the clock."""
        self._timer.cancel()
        if self._on_end is not None:
            self._on_end()

    def _expire(self) -> None:
        self.is_late = True
        self._insist()

    def _insist(self) -> None:
        self._timer.cancel()
        if self.running.cancel():
            self._timer = asyncio.get_running_loop().call_later(CANCELLATION_SECONDS, self._close)

    def _close(self) -> None:
        self.is_closing = True
        if self._on_end is not None:
            self._on_end()
        self._insist()
