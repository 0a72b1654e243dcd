"""The application object: a client that also runs workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from typing import Any, Unpack

from psycopg import Error as DriverError

from pgflow import calls
from pgflow._async.client import Client
from pgflow._async.jobs import with_jobs
from pgflow.errors import DefinitionError, FlowNotFound, NotGranted, PgFlowError
from pgflow.flow import Flow
from pgflow.jobs import JobDefinition
from pgflow.types import QueueDepth
from pgflow.worker.health import Health, judge
from pgflow.worker.options import WorkerOptions
from pgflow.worker.state import WorkerState
from pgflow.worker.worker import Worker


class PgFlow(Client):
    """Starts runs, looks at them, and works their tasks.

    ::

        app = PgFlow("postgresql://…", flows=[analyze_website])
        async with app:
            await app.start_worker(analyze_website)
            run = await app.start_flow(analyze_website, {"url": "https://example.com"})

    `url` is a libpq URL; None means PGFLOW_DATABASE_URL, or the embedded server. `flows` and `jobs` are those that
    workers work unless they are given others; jobs can then be enqueued by themselves. `executors` are what
    their steps may name in `executor=`. The rest is as in a client.
    """

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
        self.flows = with_jobs(self, flows, jobs)
        self._workers: list[Worker] = []
        self.executors = dict(executors or {})

    async def close(self) -> None:
        """Stop the workers that were started here, with 30 seconds for their handlers, and close all connections."""
        try:
            await self.stop_worker()
        finally:
            await super().close()

    def worker(self, *flows: Flow | str, **options: Unpack[WorkerOptions]) -> Worker:
        """Return a worker, not started, of these flows (default: all of the application)."""
        options.setdefault("executors", self.executors)
        return Worker(self, self._resolved(flows), **options)

    async def start_worker(self, *flows: Flow | str, **options: Unpack[WorkerOptions]) -> None:
        """Start a worker of these flows (default: all of the application) beside whatever else this process does.

        It touches no signals. Flows are given as Flow, or as slug of one of the application's. `options` are those of
        :class:`Worker`. Raises DefinitionError when a worker that was started here works one of the flows already,
        FlowNotFound, FlowShapeMismatch, a SchemaError or ConnectionLost; nothing has been started then.
        """
        worker = self.worker(*flows, **options)
        for other in self._working(worker.flow_slugs):
            if other.state is not WorkerState.STOPPED:
                shared = ", ".join(slug for slug in worker.flow_slugs if slug in other.flow_slugs)
                raise DefinitionError(f"a worker of {shared} runs already; stop_worker() ends it")
            self._forget(other)
        self._workers.append(worker)
        try:
            await worker.start()
        except BaseException:
            self._forget(worker)
            raise

    async def stop_worker(self, *flows: Flow | str, timeout: float = 30) -> None:
        """Stop the workers that were started here and work one of these flows (default: all of them). Again is fine.

        A worker of several flows stops with all of them. Handlers that run get `timeout` seconds, then their tasks are
        given back and the attempts don't count. Raises what has broken a worker.
        """
        slugs = [flow if isinstance(flow, str) else flow.slug for flow in flows]
        chosen = self._working(slugs) if slugs else list(self._workers)
        ended = await asyncio.gather(*(worker.stop(timeout) for worker in chosen), return_exceptions=True)
        self._forget(*chosen)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    async def run_worker(self, *flows: Flow | str, timeout: float = 30, **options: Unpack[WorkerOptions]) -> None:
        """Work these flows (default: all of the application) until SIGTERM or SIGINT, or the database ends it.

        At the end handlers get `timeout` seconds to finish; a second signal ends them at once. Their tasks are given
        back and the attempts don't count. `options` are those of :class:`Worker`. Raises FlowShapeMismatch, a
        SchemaError or ConnectionLost when it can't start.
        """
        worker = self.worker(*flows, **options)
        self._workers.append(worker)
        try:
            await worker.run(timeout=timeout)
        finally:
            self._forget(worker)

    async def health_check(self, *, timeout: float = 5) -> Health:
        """Say how the database, the queues and the workers of this application are doing. Never raises for trouble.

        The database gets `timeout` seconds to answer. Queues are only told to a role that may work them.
        """
        workers = tuple(worker.health() for worker in self._workers)
        slugs = list(dict.fromkeys([flow.slug for flow in self.flows] + [s for w in workers for s in w.flow_slugs]))
        began = time.monotonic()
        queues: dict[str, QueueDepth] = {}
        try:
            async with asyncio.timeout(timeout):
                queues = await self.database.run(calls.get_queue_depths(slugs))
        except TimeoutError:
            return judge(f"the database hasn't answered within {timeout:g} s", workers, queues, [])
        except NotGranted:  # it has answered, but not to this role
            return judge(time.monotonic() - began, workers, queues, [])
        except (PgFlowError, DriverError) as error:
            return judge(str(error), workers, queues, [])
        unknown = [slug for slug in slugs if slug not in queues]
        return judge(time.monotonic() - began, workers, queues, unknown)

    def _resolved(self, flows: Iterable[Flow | str]) -> list[Flow]:
        by_slug = {flow.slug: flow for flow in self.flows}
        found: list[Flow] = []
        for flow in flows or self.flows:
            if isinstance(flow, str):
                if flow not in by_slug:
                    raise FlowNotFound(flow)
                flow = by_slug[flow]
            found.append(flow)
        return found

    def _working(self, slugs: Iterable[str]) -> list[Worker]:
        wanted = set(slugs)
        return [worker for worker in self._workers if wanted.intersection(worker.flow_slugs)]

    def _forget(self, *workers: Worker) -> None:
        self._workers = [worker for worker in self._workers if worker not in workers]
