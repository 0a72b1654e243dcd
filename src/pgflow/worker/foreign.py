"""Where handlers run that name an executor of the user's: a `concurrent.futures.Executor`, Dask's for example."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Executor, Future
from functools import partial

from pgflow.worker.remote import run


async def call_foreign(executor: Executor, name: str, request: bytes) -> bytes:
    """Submit a request and wait for its answer. Cancelling cancels the future, and whatever it gives is ignored.

    Raises RuntimeError if the executor has cancelled it, and what the executor raises.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    future = executor.submit(run, request)
    future.add_done_callback(partial(_tell, loop, ended))
    try:
        await ended.wait()
    except asyncio.CancelledError:
        # In a thread, because the future of a cluster asks its scheduler, which may be slow to answer.
        threading.Thread(target=future.cancel, name="pgflow-cancel", daemon=True).start()
        raise
    try:
        return future.result()
    except CancelledError:
        raise RuntimeError(f"executor {name!r} has cancelled the task") from None


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, future: Future[bytes]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(ended.set)
