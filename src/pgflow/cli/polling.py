"""Asking the database again and again, while a screen goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from pgflow.errors import ConnectionLost

T = TypeVar("T")

PAUSE = 1.0
"""Seconds between two questions, unless something tells of a change before."""

_PATIENCE = 3.0


class Poll(Generic[T]):
    """Asks on a thread of its own, so that a screen can say that the database doesn't answer, and go on when it does.

    `pause` waits between two questions. An error other than a lost connection is raised by :meth:`wait`. Meanwhile no
    warning is logged into the screen, which tells of outages itself.
    """

    def __init__(self, first: T, ask: Callable[[], T], pause: Callable[[], object] = lambda: time.sleep(PAUSE)) -> None:
        self._answer = first
        self._ask = ask
        self._pause = pause
        self._answered_at = time.monotonic()
        self._lost: str | None = None
        self._error: Exception | None = None
        self._news = threading.Event()
        self._ended = False
        self._disabled = logging.NOTSET
        self._thread = threading.Thread(target=self._work, name="pgflow-screen", daemon=True)

    def __enter__(self) -> Self:
        self._disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended = True
        logging.disable(self._disabled)

    def wait(self, seconds: float) -> T:
        """Return the last answer, after waiting so long for another one. Raises what asking has raised."""
        self._news.wait(seconds)
        self._news.clear()
        if self._error is not None:
            raise self._error
        return self._answer

    @property
    def trouble(self) -> str | None:
        """What to say when no answer came for a while."""
        silence = time.monotonic() - self._answered_at
        if self._lost is None and silence < PAUSE + _PATIENCE:
            return None
        why = f": {self._lost}" if self._lost else ""
        return f"the database hasn't answered for {silence:.0f} s{why}; trying again"

    def _work(self) -> None:
        while not self._ended:
            try:
                self._pause()
                answer = self._ask()
            except ConnectionLost as lost:
                self._lost = " ".join(str(lost).split())
                time.sleep(PAUSE / 2)
            except Exception as error:
                self._error = error
                self._news.set()
                return
            else:
                self._answer, self._lost, self._answered_at = answer, None, time.monotonic()
                self._news.set()
