"""Where `def` handlers run: threads, bounded and named."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

_numbers = itertools.count(1)


class ThreadPool:
    """Daemon threads that run one handler each at a time, started when needed, kept for the next handler.

    Not a `ThreadPoolExecutor`: the interpreter waits for those at exit, and a handler that never returns would keep
    a worker from ending.
    """

    def __init__(self) -> None:
        self._idle: list[queue.SimpleQueue[Callable[[], None] | None]] = []

    async def call(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Call the function in a thread and return what it returns. Cancelling abandons the thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        work = self._idle.pop() if self._idle else self._start()
        context = contextvars.copy_context()

        def run() -> None:
            try:
                result = context.run(partial(function, **arguments))
            except BaseException as error:
                settle = partial(_fail, future, error)
            else:
                settle = partial(_succeed, future, result)
            _call_in(loop, settle, partial(self._idle.append, work))

        work.put(run)
        return await future

    def close(self) -> None:
        """Let idle threads end. Those that are abandoned end with their handler."""
        while self._idle:
            self._idle.pop().put(None)

    def _start(self) -> queue.SimpleQueue[Callable[[], None] | None]:
        work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=_serve, args=(work,), name=f"pgflow-handler-{next(_numbers)}", daemon=True).start()
        return work


def _serve(work: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (run := work.get()) is not None:
        run()


def _call_in(loop: asyncio.AbstractEventLoop, *callbacks: Callable[[], None]) -> None:
    for callback in callbacks:
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop has closed: nobody waits any more
            return


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
        super().__init__(str(error))
