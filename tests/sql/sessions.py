"""Several sessions on one database that meet each other at locks, for tests of concurrency."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from sql.engine import Connection, connect, value

DEADLINE_SECONDS = 20

P = ParamSpec("P")
T = TypeVar("T")


class Session:
    """A connection whose calls can run in the background, where they may wait for another session's lock."""

    def __init__(self, url: str) -> None:
        self.connection = connect(url)
        self._thread = ThreadPoolExecutor(max_workers=1)

    @property
    def process_id(self) -> int:
        return self.connection.info.backend_pid

    def in_background(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Begin `function(connection, …)` without waiting for it; the future has what it returns."""
        return self._thread.submit(function, self.connection, *args, **kwargs)

    def close(self) -> None:
        """End the session; a call that still waits is cancelled."""
        self.connection.cancel_safe(timeout=DEADLINE_SECONDS)
        self._thread.shutdown()
        self.connection.close()


@contextmanager
def sessions(url: str, count: int = 2) -> Iterator[list[Session]]:
    """Open so many sessions on one database, and close them at the end."""
    opened = [Session(url) for _ in range(count)]
    try:
        yield opened
    finally:
        for session in opened:
            session.close()


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Look again and again until the condition holds; fails after a deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s in vain: {what}"
        time.sleep(0.002)


def wait_until_blocked(observer: Connection, waiting: Session, holder: Session, call: Future[Any]) -> None:
    """Wait until a call in the background waits for a lock of another session; the observer is a third one."""

    def is_blocked() -> bool:
        assert not call.done(), f"the call has ended without waiting: {call.result()}"
        return bool(value(observer, "select %s = any (pg_blocking_pids(%s))", holder.process_id, waiting.process_id))

    wait_until(is_blocked, "a call should wait for the other session's lock")


@dataclass(frozen=True)
class Sessions:
    """Two sessions with a transaction each, and a third one that prepares, watches and looks at what is committed."""

    first: Session
    second: Session
    observer: Connection

    def second_waits_for_first(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Begin a call in the second session, commit the first when it is waited for, and return the call's result."""
        call = self.second.in_background(function, *args, **kwargs)
        wait_until_blocked(self.observer, self.second, self.first, call)
        self.first.connection.commit()
        result = call.result(timeout=DEADLINE_SECONDS)
        self.second.connection.commit()
        return result

    def second_does_not_wait(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Make a call in the second session while the first holds its locks; then commit both."""
        result = self.second.in_background(function, *args, **kwargs).result(timeout=DEADLINE_SECONDS)
        self.second.connection.commit()
        self.first.connection.commit()
        return result
