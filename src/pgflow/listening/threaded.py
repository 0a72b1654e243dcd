"""The watcher for threads: the same one, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pgflow.calls import Call
from pgflow.errors import ConnectionLost
from pgflow.listening.listener import Listener
from pgflow.listening.watcher import LATEST_FIRST_LOOK_SECONDS, AsyncRunWatcher, RunWithStates
from pgflow.listening.watcher import RunChanges as AsyncRunChanges

T = TypeVar("T")


class Database(Protocol):
    """What runs calls."""

    def run(self, call: Call[T]) -> T:
        """Run a call."""


class RunWatcher:
    """:class:`AsyncRunWatcher` for any number of threads. Its own thread is started on first use."""

    def __init__(self, database: Database, listener: Listener) -> None:
        self._watcher = AsyncRunWatcher(_Blocking(database), listener)
        self._thread = _LoopThread()

    def mark(self) -> int | None:
        """Do what :meth:`AsyncRunWatcher.mark` does."""
        return self._watcher.mark()

    def ended(self, run_id: UUID, timeout: float | None = None, mark: int | None = None) -> RunWithStates | None:
        """Do what :meth:`AsyncRunWatcher.ended` does."""
        latest = None if timeout is None else max(timeout, LATEST_FIRST_LOOK_SECONDS)  # the loop itself may be held up
        return self._thread.run(self._watcher.ended(run_id, timeout, mark), latest)

    def changes(self, run_id: UUID) -> RunChanges:
        """Return what tells of changes of a run; a context manager."""
        return RunChanges(self._watcher.changes(run_id), self._thread)

    def close(self) -> None:
        """Do what :meth:`AsyncRunWatcher.close` does, and end the thread."""
        self._thread.stop(self._watcher.close)


class RunChanges:
    """Tells of changes of one run: of each, or of many at once. A context manager."""

    def __init__(self, changes: AsyncRunChanges, thread: _LoopThread) -> None:
        self._changes = changes
        self._thread = thread

    def __enter__(self) -> RunChanges:
        self._thread.run(_called(self._changes.__enter__))
        return self

    def __exit__(self, *_: Any) -> None:
        if self._thread.is_running:
            self._thread.run(_called(self._changes.__exit__))

    def next(self, timeout: float | None = None) -> None:
        """Wait until the run may have changed since the last call, at most `timeout` seconds."""
        self._thread.run(self._changes.next(timeout))


class _Blocking:
    """Runs calls in the thread of the loop: it has little else to do, and nobody else waits for it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, call: Call[T]) -> T:
        return self._database.run(call)


class _LoopThread:
    """A thread with an event loop; it doesn't keep the program from ending."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread was started and not yet stopped."""
        return self._thread is not None

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T | None:
        """Run a coroutine on the loop and return its result, or None after so many seconds, which cancel it."""
        with self._lock:
            running: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        try:
            return running.result(None if timeout is None else min(timeout, threading.TIMEOUT_MAX))
        except TimeoutError:
            return None
        except CancelledError:
            raise ConnectionLost("the client was closed meanwhile") from None
        finally:
            running.cancel()

    def stop(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a last coroutine, if the thread was started, and end the thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
            if loop is None or thread is None:
                return
            asyncio.run_coroutine_threadsafe(farewell(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_work, args=(self._loop,), name="pgflow-listener", daemon=True)
            self._thread.start()
        return self._loop


async def _called(function: Callable[[], object]) -> None:
    function()


def _work(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()
