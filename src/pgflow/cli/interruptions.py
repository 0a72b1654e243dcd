"""Ctrl-C and SIGTERM, at a time when it is known what has been done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruptions:
    """A context manager in which SIGINT and SIGTERM raise KeyboardInterrupt, but not in the midst of what is held.

    There the first one waits for the end of it; a second one doesn't.
    """

    def __init__(self) -> None:
        self._is_held = False
        self._is_wanted = False

    def __enter__(self) -> Interruptions:
        self._previous = {}
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let what happens here end first. Raises KeyboardInterrupt afterwards, if somebody wanted it meanwhile."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._is_wanted:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._is_held or self._is_wanted:
            raise KeyboardInterrupt
        self._is_wanted = True
