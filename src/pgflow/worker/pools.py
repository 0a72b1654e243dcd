"""Where `def` handlers run: threads, bounded and named."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

_numbers = itertools.count(1)

Job: TypeAlias = Callable[[], None]
Thread: TypeAlias = queue.SimpleQueue[Job | None]
"""What a thread listens to; None ends it."""


class ThreadPool:
    """Daemon threads that run one handler each at a time, started when needed, kept for the next handler.

    Not a `ThreadPoolExecutor`: the interpreter waits for those at exit, and a handler that never returns would keep
    a worker from ending.
    """

    def __init__(self) -> None:
        self._idle: list[Thread] = []
        self._closed = False

    async def call(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Call the function in a thread and return what it returns. Cancelling abandons the thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        thread = self._idle.pop() if self._idle else _start_thread()
        context = contextvars.copy_context()

        def job() -> None:
            try:
                result = context.run(partial(function, **arguments))
            except BaseException as error:
                settle = partial(_fail, future, error)
            else:
                settle = partial(_succeed, future, result)
            try:
                loop.call_soon_threadsafe(self._release, thread, settle)
            except RuntimeError:  # the loop has closed: nobody waits any more
                thread.put(None)

        thread.put(job)
        return await future

    def close(self) -> None:
        """Let idle threads end. Those that are abandoned end with their handler."""
        self._closed = True
        while self._idle:
            self._idle.pop().put(None)

    def _release(self, thread: Thread, settle: Job) -> None:
        if self._closed:
            thread.put(None)
        else:
            self._idle.append(thread)
        settle()


def _start_thread() -> Thread:
    thread: Thread = queue.SimpleQueue()
    threading.Thread(target=_serve, args=(thread,), name=f"pgflow-handler-{next(_numbers)}", daemon=True).start()
    return thread


def _serve(thread: Thread) -> None:
    while (job := thread.get()) is not None:
        job()


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error if _travels(error) else HandlerExit(error))


def _travels(error: BaseException) -> bool:
    """Whether a future can carry it: StopIteration can't, and SystemExit or KeyboardInterrupt would end the loop."""
    return isinstance(error, Exception) and not isinstance(error, StopIteration)


class HandlerExit(Exception):
    """A handler raised what isn't an ordinary exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__(type(error).__name__)
