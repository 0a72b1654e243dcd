"""SIGTERM and SIGINT, for as many workers as an event loop runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Callable[[], None]]] = WeakKeyDictionary()


@contextmanager
def telling(handler: Callable[[], None]) -> Iterator[None]:
    """Call `handler` at each signal, and those of others, too: an event loop itself has one handler for a signal.

    Raises RuntimeError outside of the main thread, where Python delivers signals.
    """
    loop = asyncio.get_running_loop()
    handlers = _waiting.setdefault(loop, [])
    if not handlers:
        for number in _SIGNALS:
            loop.add_signal_handler(number, _tell, handlers)
    handlers.append(handler)
    try:
        yield
    finally:
        handlers.remove(handler)
        if not handlers:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def _tell(handlers: list[Callable[[], None]]) -> None:
    for handler in tuple(handlers):
        handler()
