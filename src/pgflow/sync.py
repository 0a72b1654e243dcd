"""The blocking half: the same names as in `pgflow`, without `await`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar, Unpack

from pgflow import app
from pgflow._sync.client import Client
from pgflow._sync.handle import Run
from pgflow._sync.jobs import Job, job, with_jobs
from pgflow.flow import Flow
from pgflow.jobs import JobDefinition
from pgflow.worker.health import Health
from pgflow.worker.options import WorkerOptions

__all__ = ["Job", "PgFlow", "Run", "job"]

T = TypeVar("T")


class PgFlow(Client):
    """The blocking twin of :class:`pgflow.PgFlow`; safe to share between threads."""

    def __init__(
        self,
        url: str | None = None,
        *,
        flows: Iterable[Flow] = (),
        jobs: Iterable[JobDefinition[..., Any]] = (),
        pool_size: int = 3,
        listen: bool = True,
        listen_url: str | None = None,
        executors: Mapping[str, Executor] | None = None,
    ) -> None:
        super().__init__(url, pool_size=pool_size, listen=listen, listen_url=listen_url)
        self.executors = dict(executors or {})
        self.flows = with_jobs(self, flows, jobs)
        self._make_twin = partial(
            app.PgFlow, url, flows=self.flows, listen=listen, listen_url=listen_url, executors=executors
        )
        self._background: _Background | None = None
        self._starting = threading.Lock()

    def close(self) -> None:
        """Stop the workers that were started here, with 30 seconds for their handlers, and close all connections."""
        with self._starting:
            background, self._background = self._background, None
        try:
            if background is not None:
                background.end()
        finally:
            super().close()

    def start_worker(self, *flows: Flow | str, **options: Unpack[WorkerOptions]) -> None:
        """Start a worker of these flows (default: all of the application) in a thread of its own.

        Flows, `options` and errors are those of :meth:`pgflow.PgFlow.start_worker`.
        """
        background = self._in_background()
        background.run(background.twin.start_worker(*flows, **options))

    def stop_worker(self, *flows: Flow | str, timeout: float = 30) -> None:
        """Stop the workers that were started here and work one of these flows (default: all of them). Again is fine.

        `timeout` and errors are those of :meth:`pgflow.PgFlow.stop_worker`.
        """
        background = self._background
        if background is not None:
            background.run(background.twin.stop_worker(*flows, timeout=timeout))

    def run_worker(self, *flows: Flow | str, timeout: float = 30, **options: Unpack[WorkerOptions]) -> None:
        """Work these flows (default: all of the application) until SIGTERM or SIGINT, or the database ends it.

        `timeout`, `options` and errors are those of :meth:`pgflow.PgFlow.run_worker`.
        """

        async def work() -> None:
            async with self._make_twin() as twin:
                await twin.run_worker(*flows, timeout=timeout, **options)

        asyncio.run(work())

    def health_check(self, *, timeout: float = 5) -> Health:
        """Say how the database, the queues and the workers of this application are doing. Never raises for trouble.

        The database gets `timeout` seconds to answer.
        """
        background = self._in_background()
        return background.run(background.twin.health_check(timeout=timeout))

    def _in_background(self) -> _Background:
        with self._starting:
            if self._background is None:
                self._background = _Background(self._make_twin())
            return self._background


class _Background:
    """An event loop in a thread of its own, with the async twin of an application."""

    def __init__(self, twin: app.PgFlow) -> None:
        self.twin = twin
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pgflow-workers", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def end(self) -> None:
        """Close the twin, which stops its workers, and end the loop and its thread."""
        try:
            self.run(self.twin.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
