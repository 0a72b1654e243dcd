"""Threads that handlers run in."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypeVar

from pgflow.worker.outcome import describe_stack

T = TypeVar("T")
Job: TypeAlias = Callable[[], None]

_numbers = itertools.count(1)


class ThreadPool:
    """Daemon threads that run one job each at a time, started when needed, kept for the next one.

    Not a `ThreadPoolExecutor`: the interpreter waits for those at exit, and a handler that never returns would keep
    a worker from ending. A job whose caller was cancelled keeps its thread, which counts as abandoned until it ends.
    """

    def __init__(self) -> None:
        self._idle: list[_Thread] = []
        self._abandoned: set[_Thread] = set()
        self._closed = False

    @property
    def abandoned(self) -> int:
        """Number of threads whose job nobody waits for any more."""
        return len(self._abandoned)

    async def call(self, function: Callable[[], T]) -> T:
        """Call the function in a thread and return what it returns.

        Cancelling abandons the thread; where it is then becomes a note of the CancelledError.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        thread = self._idle.pop() if self._idle else _Thread()
        context = contextvars.copy_context()

        def job() -> None:
            try:
                result = context.run(function)
            except BaseException as error:
                settle = partial(_fail, future, error)
            else:
                settle = partial(_succeed, future, result)
            try:
                loop.call_soon_threadsafe(self._release, thread, settle)
            except RuntimeError:  # the loop has closed: nobody waits any more
                thread.end()

        thread.jobs.put(job)
        try:
            return await future
        except asyncio.CancelledError as error:
            if not future.done() or future.cancelled():
                self._abandoned.add(thread)
                error.add_note(thread.stack())
            raise

    def close(self) -> None:
        """Let idle threads end. Those that are abandoned end with their job."""
        self._closed = True
        while self._idle:
            self._idle.pop().end()

    def _release(self, thread: _Thread, settle: Job) -> None:
        self._abandoned.discard(thread)
        if self._closed:
            thread.end()
        else:
            self._idle.append(thread)
        settle()


class _Thread:
    """A thread, and the queue it takes its jobs from; None ends it."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=f"pgflow-handler-{next(_numbers)}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self.jobs.put(None)

    def stack(self) -> str:
        """Say where the thread is, in the form of a traceback."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "" if frame is None else describe_stack(frame)

    def _serve(self) -> None:
        while (job := self.jobs.get()) is not None:
            job()
            del job  # what it holds mustn't live until the next one


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
