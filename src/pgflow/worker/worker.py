"""A worker: builds its services, starts and stops them. Read this first.

::

    ExchangeLoop     results for tasks, back and forth with the database
    Executor         one task: from its input to its outcome
    HeartbeatThread  says that the worker is alive, learns that it is asked to leave, puts stalled tasks back
    Leases           takes tasks away from handlers that have lost them
    Retention        deletes what is old, if asked to
    WakeUp           wakes the exchange loop when there are new tasks
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor as ForeignExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
from psycopg import Error as DriverError

from pgflow import calls, checks, logs, telemetry
from pgflow._async.client import Client
from pgflow._sync.performing import perform, run_on
from pgflow.calls import Call
from pgflow.errors import DefinitionError, PgFlowError
from pgflow.flow import Flow
from pgflow.worker import signals
from pgflow.worker.exchange import ExchangeLoop
from pgflow.worker.executor import TRANSACTION_CONNECTIONS, Executor
from pgflow.worker.health import WorkerHealth
from pgflow.worker.heartbeat import LONGEST_INTERVAL, HeartbeatThread
from pgflow.worker.lease import Leases
from pgflow.worker.maintenance import Retention
from pgflow.worker.pace import PollInterval
from pgflow.worker.service import PeriodicService
from pgflow.worker.state import WorkerState, follows
from pgflow.worker.wakeup import WakeUp

T = TypeVar("T")

logger = logging.getLogger("pgflow.worker")

_FAREWELL_SECONDS = 5
_LEASE_SECONDS = 1.0


class Worker:
    """Works the tasks of some flows with up to `concurrency` handlers at once.

    `poll_interval` bounds the pause between two looks at an empty queue while the client can't listen for
    notifications. Every `heartbeat_interval` seconds, at most 20, it says that it is alive and learns whether it is
    asked to leave; every `recovery_interval` seconds it puts stalled tasks back, unless another worker is at it. With
    `retention`, which needs the rights of the owner, it deletes runs of its flows that ended longer ago. `executors`
    are what steps may name in `executor=`; `processes` bounds those for `executor="process"` (default: `concurrency`);
    `transaction_connections` bounds those for `ctx.transaction()`, once for `async def` handlers and once for others.
    Client and executors are the caller's to close.
    """

    def __init__(
        self,
        client: Client,
        flows: Iterable[Flow],
        *,
        concurrency: int = 10,
        poll_interval: PollInterval | None = None,
        heartbeat_interval: float = LONGEST_INTERVAL,
        recovery_interval: float = LONGEST_INTERVAL,
        retention: timedelta | None = None,
        name: str | None = None,
        executors: Mapping[str, ForeignExecutor] | None = None,
        processes: int | None = None,
        transaction_connections: int = TRANSACTION_CONNECTIONS,
    ) -> None:
        self.state = WorkerState.CREATED
        self.stop_reason: str | None = None
        """Why it stops: `operator`, `deprecated` or `broken`; None while it runs."""
        self._client = client
        self._flows = _by_slug(flows)
        self._name = name or _program_name()
        self._worker_ids: dict[str, UUID] = {slug: uuid4() for slug in self._flows}
        self._leaving = asyncio.Event()
        self._stopping = asyncio.Event()
        self._abandoning = asyncio.Event()
        self._executor = Executor(
            self._flows,
            client,
            self._leaving,
            worker_ids=self._worker_ids,
            executors=executors,
            processes=concurrency if processes is None else processes,
            transaction_connections=transaction_connections,
        )
        self._exchange = ExchangeLoop(
            client.database,
            self._worker_ids,
            self._executor.start,
            concurrency=concurrency,
            poll_interval=poll_interval or PollInterval(),
        )
        self._heartbeat = HeartbeatThread(
            self._connect,
            {worker_id: slug for slug, worker_id in self._worker_ids.items()},
            self._name,
            interval=heartbeat_interval,
            recovery_interval=recovery_interval,
            on_deprecated=self._hear_of_deprecation,
            run=self._run_on,
        )
        self._wakeup = WakeUp(client.database.watcher.listener, self._exchange, self._worker_ids)
        leases = Leases(client.database, self._exchange.held, self._exchange.take_away)
        self._services: list[PeriodicService] = [leases.service(_LEASE_SECONDS)]
        if retention is not None:
            self._services.append(Retention(client.database, self.flow_slugs, retention).service())
        self._started_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._exchanging: asyncio.Task[None] | None = None
        self._life: asyncio.Task[None] | None = None

    @property
    def flow_slugs(self) -> tuple[str, ...]:
        """Slugs of the flows it works."""
        return tuple(self._flows)

    def health(self) -> WorkerHealth:
        """Return how it is doing, without asking the database."""
        return WorkerHealth(
            self._name,
            self.flow_slugs,
            self.state,
            self.stop_reason,
            self._exchange.unfinished,
            self._heartbeat.age,
            self._executor.abandoned_threads,
            self._executor.is_healthy,
        )

    async def start(self) -> None:
        """Register the flows and the worker, then begin to fetch tasks.

        Raises FlowShapeMismatch, a SchemaError or ConnectionLost; nothing runs then.
        """
        await self._prepare()
        await self._begin()

    async def wait(self) -> None:
        """Wait until the worker has ended, because it was asked to. Raises what its loop raised."""
        if self._life is None:
            raise RuntimeError(f"a worker that is {self.state} has nothing to wait for; start it first")
        await asyncio.wait({self._life})
        self._raise_error()

    def request_stop(self) -> None:
        """Fetch no more; handlers that run go on and see `ctx.shutting_down`. Without handlers the worker ends."""
        self._stopping.set()
        self._stop_fetching("operator", WorkerState.STOPPING)

    def abandon(self) -> None:
        """Cancel the handlers that run and give their tasks back; the attempts don't count."""
        self.request_stop()
        if not self._abandoning.is_set():
            logger.warning("worker abandons %d tasks", self._exchange.unfinished)
        self._abandoning.set()
        self._exchange.abandon()

    async def stop(self, timeout: float = 30) -> None:
        """Stop fetching, wait at most `timeout` seconds for the handlers that run, abandon the rest. Again is fine.

        Raises what the worker's loop raised, if it broke down.
        """
        self.request_stop()
        if self._life is None:
            self._enter(WorkerState.STOPPED)
            return
        await _end_of(self._life, unless=self._abandoning, timeout=timeout)
        if not self._life.done():
            await self._end_now(self._life)
        self._raise_error()

    async def run(self, *, timeout: float = 30) -> None:
        """Start, work until SIGTERM or SIGINT or until the database asks it to leave, stop. A second signal ends it.

        `timeout` is that of :meth:`stop`. Raises what :meth:`start` raises, and what broke the worker's loop.
        """
        await self._prepare()
        with ExitStack() as until_stopped:
            try:
                until_stopped.enter_context(signals.telling(self._on_signal))
                await self._begin()
                if self._life is not None:
                    await _end_of(self._life, unless=self._stopping)
            finally:
                await self.stop(timeout)

    async def _prepare(self) -> None:
        if self.state is not WorkerState.CREATED:
            raise RuntimeError(f"a worker starts once; this one is {self.state}")
        self.state = WorkerState.STARTING
        logs.log_events()
        await self._client.open()
        await self._look_at_the_database()
        for flow in self._flows.values():
            await self._client.ensure_compiled(flow)
        workers = {worker_id: slug for slug, worker_id in self._worker_ids.items()}
        await self._client.database.run(calls.keep_alive(workers, self._name))

    async def _look_at_the_database(self) -> None:
        """Refuse what no worker can work with before anything is registered, rather than at the first task."""
        if self._client.database.core is not None:  # opening it has looked at a schema of the reference
            return
        asked_at = datetime.now(UTC)
        found = await self._client.database.run(checks.facts())
        checks.require_worker(found, asked_at, datetime.now(UTC))

    async def _begin(self) -> None:
        if self._stopping.is_set():  # while it was starting
            await self._sign_off()
            self.state = WorkerState.STOPPED
            return
        self._loop = asyncio.get_running_loop()
        self._started_at = time.monotonic()
        self._heartbeat.start()
        for service in self._services:
            service.start()
        self._wakeup.start()
        self._exchanging = asyncio.create_task(self._exchange.run(), name="pgflow-exchange")
        self._life = asyncio.create_task(self._live(self._exchanging), name="pgflow-worker")
        self.state = WorkerState.RUNNING
        self._emit("worker.start", {"system_time": time.time()})
        logger.info("worker runs: %s", ", ".join(self._flows))

    async def _live(self, exchanging: asyncio.Task[None]) -> None:
        """Wait until the last handler has ended and the last outcome is reported; then end everything else."""
        await asyncio.wait({exchanging})
        if not exchanging.cancelled() and (error := exchanging.exception()):
            logger.critical("worker has broken down and takes no more tasks", exc_info=error)
            self._stop_fetching("broken", WorkerState.STOPPING)
        self._enter(WorkerState.STOPPING)
        self._wakeup.stop()
        for service in self._services:
            await service.stop()
        await self._heartbeat.stop()
        await self._executor.close()
        if not exchanging.cancelled():
            await self._sign_off()
        self._enter(WorkerState.STOPPED)
        self._emit("worker.stop", {"duration": time.monotonic() - self._started_at}, stop_reason=self.stop_reason)
        logger.info("worker stopped")

    async def _end_now(self, life: asyncio.Task[None]) -> None:
        """Give back what runs; wait a moment for the database to take it, and leave without its answer if need be."""
        assert self._exchanging is not None
        self.abandon()
        await asyncio.wait({life}, timeout=_FAREWELL_SECONDS)
        if not self._exchanging.done():
            unfinished = self._exchange.unfinished
            logger.warning("the database doesn't answer; worker ends with %d tasks unreported", unfinished)
            self._exchanging.cancel()
        await asyncio.wait({life})

    def _stop_fetching(self, reason: str, state: WorkerState) -> None:
        if self.stop_reason is None and self._life is not None:
            self.stop_reason = reason
            logger.info("worker stops, %d tasks to finish (%s)", self._exchange.unfinished, reason)
            self._heartbeat.leave()
        self._leaving.set()
        self._executor.announce_stop()
        self._enter(state)
        self._exchange.stop_fetching()

    def _enter(self, state: WorkerState) -> None:
        if follows(self.state, state):
            self.state = state

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self.abandon()
        else:
            self.request_stop()

    def _hear_of_deprecation(self, worker_ids: Sequence[UUID]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._deprecate, frozenset(worker_ids))
        except RuntimeError:  # the loop was closed around a worker that nobody stopped
            logger.debug("deprecated after the end")

    def _deprecate(self, worker_ids: frozenset[UUID]) -> None:
        for slug, worker_id in self._worker_ids.items():
            if worker_id in worker_ids and self._exchange.is_fetching(slug):
                logger.info("worker of flow %s is deprecated and takes no more tasks", slug)
                self._exchange.stop_fetching(slug)
        if self.state is WorkerState.RUNNING and worker_ids.issuperset(self._worker_ids.values()):
            self._stop_fetching("deprecated", WorkerState.DEPRECATED)

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        database = self._client.database
        assert database.url is not None  # the worker has started
        return psycopg.connect(database.url, **database.options)

    def _run_on(self, connection: psycopg.Connection[tuple[Any, ...]], call: Call[T]) -> T:
        core = self._client.database.core
        plan = call if core is None else core.plan(call)
        return perform(plan, lambda each: run_on(connection, each))

    async def _sign_off(self) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._client.database.run(calls.stop_workers(list(self._worker_ids.values())))
        except (PgFlowError, DriverError, TimeoutError) as error:
            logger.warning("the database doesn't know that this worker has stopped: %r", error)

    def _raise_error(self) -> None:
        exchanging = self._exchanging
        if exchanging is not None and exchanging.done() and not exchanging.cancelled():
            exchanging.result()

    def _emit(self, event: str, measurements: dict[str, float], **metadata: object) -> None:
        if not telemetry.is_observed(event):
            return
        for slug, worker_id in self._worker_ids.items():
            about = {"worker_id": worker_id, "worker_name": self._name, "flow_slug": slug}
            telemetry.emit(event, measurements, {**about, **metadata})


async def _end_of(task: asyncio.Task[None], *, unless: asyncio.Event, timeout: float | None = None) -> None:
    """Wait until the task has ended or the event is set, at most so many seconds."""
    event = asyncio.create_task(unless.wait())
    try:
        await asyncio.wait({task, event}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        event.cancel()


def _by_slug(flows: Iterable[Flow]) -> dict[str, Flow]:
    found: dict[str, Flow] = {}
    for flow in flows:
        flow.check()
        if found.setdefault(flow.slug, flow) is not flow:
            raise DefinitionError(f"two flows are called {flow.slug!r}")
    if not found:
        raise DefinitionError("a worker needs at least one flow")
    return found


def _program_name() -> str:
    """Return the name of the program, or of the package that `python -m` runs."""
    program = Path(sys.argv[0])
    return program.parent.name if program.name == "__main__.py" else program.name or "python"
