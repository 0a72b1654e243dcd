"""A worker: builds its services, starts and stops them. Read this first.

::

    ExchangeLoop   results for tasks, back and forth with the database
    Executor       one task: from its input to its outcome
    heartbeats     says that the worker is alive, notices that it is asked to leave
    recovery       puts stalled tasks back, whoever left them
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from uuid import UUID, uuid4

from psycopg import Error as DriverError

from pgflow import calls
from pgflow._async.client import Client
from pgflow.errors import DefinitionError, PgFlowError
from pgflow.flow import Flow
from pgflow.worker.exchange import ExchangeLoop
from pgflow.worker.executor import Executor
from pgflow.worker.pace import PollInterval
from pgflow.worker.service import PeriodicService

logger = logging.getLogger("pgflow.worker")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_FAREWELL_SECONDS = 5


class WorkerState(StrEnum):
    """Stages of a worker's life, in this order."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Worker:
    """Works the tasks of some flows with up to `concurrency` handlers at once.

    `poll_interval` bounds the pause between two looks at an empty queue, `heartbeat_interval` and
    `recovery_interval` are in seconds. The client is the caller's to close.
    """

    def __init__(
        self,
        client: Client,
        flows: Iterable[Flow],
        *,
        concurrency: int = 10,
        poll_interval: PollInterval | None = None,
        heartbeat_interval: float = 10,
        recovery_interval: float = 15,
        name: str | None = None,
    ) -> None:
        self.state = WorkerState.CREATED
        self._client = client
        self._flows = _by_slug(flows)
        self._name = name or Path(sys.argv[0]).name or "python"
        self._worker_ids: dict[str, UUID] = {slug: uuid4() for slug in self._flows}
        self._stopping = asyncio.Event()
        self._abandoning = asyncio.Event()
        self._executor = Executor(self._flows, client, self._stopping)
        self._exchange = ExchangeLoop(
            client.database,
            self._worker_ids,
            self._executor.execute,
            concurrency=concurrency,
            poll_interval=poll_interval or PollInterval(),
        )
        self._heartbeats = PeriodicService("heartbeat", heartbeat_interval, self._send_heartbeats)
        self._recovery = PeriodicService("recovery", recovery_interval, self._recover)
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Register the flows and the worker, then begin to fetch tasks.

        Raises FlowShapeMismatch, a SchemaError or ConnectionLost; nothing runs then.
        """
        await self._prepare()
        self._begin()

    async def wait(self) -> None:
        """Wait until the worker has been asked to stop and has nothing left to do. Raises what its loop raised."""
        assert self._loop_task is not None, "start() comes first"
        await asyncio.wait({self._loop_task})
        _raise_error_of(self._loop_task)

    def request_stop(self) -> None:
        """Fetch no more; handlers that run go on and see `ctx.shutting_down`."""
        if self.state is WorkerState.RUNNING:
            self.state = WorkerState.STOPPING
            logger.info("worker stops, %d tasks to finish", self._exchange.unfinished)
        self._stopping.set()
        self._exchange.stop_fetching()

    def abandon(self) -> None:
        """Cancel the handlers that run; their tasks are given to another worker when they have stalled."""
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
        if self._loop_task is None or self.state is WorkerState.STOPPED:
            self.state = WorkerState.STOPPED
            return
        is_drained = await self._drain(self._loop_task, timeout)
        await self._heartbeats.stop()
        await self._recovery.stop()
        self._executor.close()
        if is_drained:
            await self._sign_off()
        self.state = WorkerState.STOPPED
        logger.info("worker stopped")
        _raise_error_of(self._loop_task)

    async def run(self, *, timeout: float = 30) -> None:
        """Start, work until SIGTERM or SIGINT, stop. A second signal ends it at once.

        `timeout` is that of :meth:`stop`. Raises what :meth:`start` raises, and what broke the worker's loop.
        """
        await self._prepare()
        loop = asyncio.get_running_loop()
        try:
            for number in _SIGNALS:
                loop.add_signal_handler(number, self._on_signal)
            self._begin()
            assert self._loop_task is not None
            await _end_of(self._loop_task, unless=self._stopping)
        finally:
            try:
                await self.stop(timeout)
            finally:
                for number in _SIGNALS:
                    loop.remove_signal_handler(number)

    async def _prepare(self) -> None:
        if self.state is not WorkerState.CREATED:
            raise RuntimeError(f"a worker starts once; this one is {self.state}")
        self.state = WorkerState.STARTING
        await self._client.open()
        for flow in self._flows.values():
            status = await self._client.ensure_compiled(flow)
            logger.info("flow %s: %s", flow.slug, status)
        await self._register()

    def _begin(self) -> None:
        self._heartbeats.start()
        self._recovery.start()
        self._loop_task = asyncio.create_task(self._exchange.run(), name="pgflow-exchange")
        self._loop_task.add_done_callback(_tell_of_breakdown)
        self.state = WorkerState.RUNNING
        logger.info("worker runs: %s", ", ".join(self._flows))

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self.abandon()
        else:
            self.request_stop()

    async def _drain(self, loop_task: asyncio.Task[None], timeout: float) -> bool:
        """Wait for handlers and reports, at last only for reports. Returns whether the database took them in time."""
        await _end_of(loop_task, unless=self._abandoning, timeout=timeout)
        if self._exchange.unfinished or not loop_task.done():
            self.abandon()
            await asyncio.wait({loop_task}, timeout=_FAREWELL_SECONDS)
        if loop_task.done():
            return True
        logger.warning("the database doesn't answer; worker ends with %d tasks unreported", self._exchange.unfinished)
        loop_task.cancel()
        await asyncio.wait({loop_task}, timeout=_FAREWELL_SECONDS)
        return False

    async def _register(self) -> None:
        for slug, worker_id in self._worker_ids.items():
            await self._client.database.run(calls.register_worker(worker_id, slug, self._name))

    async def _sign_off(self) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                for worker_id in self._worker_ids.values():
                    await self._client.database.run(calls.mark_worker_stopped(worker_id))
        except (PgFlowError, DriverError, TimeoutError) as error:
            logger.warning("the database doesn't know that this worker has stopped: %r", error)

    async def _send_heartbeats(self) -> None:
        await self._register()  # brings back a row that was pruned while the machine slept; tasks refer to it
        deprecated = await self._client.database.run(calls.send_heartbeats(list(self._worker_ids.values())))
        for slug, worker_id in self._worker_ids.items():
            if worker_id in deprecated and self._exchange.is_fetching(slug):
                logger.info("worker of flow %s is deprecated and takes no more tasks", slug)
                self._exchange.stop_fetching(slug)

    async def _recover(self) -> None:
        count = await self._client.database.run(calls.requeue_stalled_tasks())
        if count:
            logger.warning("put %d stalled tasks back into their queues", count)


async def _end_of(task: asyncio.Task[None], *, unless: asyncio.Event, timeout: float | None = None) -> None:
    """Wait until the task has ended or the event is set, at most so many seconds."""
    event = asyncio.create_task(unless.wait())
    try:
        await asyncio.wait({task, event}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        event.cancel()


def _tell_of_breakdown(loop_task: asyncio.Task[None]) -> None:
    if not loop_task.cancelled() and (error := loop_task.exception()):
        logger.critical("worker has broken down and takes no more tasks", exc_info=error)


def _raise_error_of(loop_task: asyncio.Task[None]) -> None:
    if loop_task.done() and not loop_task.cancelled() and (error := loop_task.exception()):
        raise error


def _by_slug(flows: Iterable[Flow]) -> dict[str, Flow]:
    found: dict[str, Flow] = {}
    for flow in flows:
        flow.check()
        if found.setdefault(flow.slug, flow) is not flow:
            raise DefinitionError(f"two flows are called {flow.slug!r}")
    if not found:
        raise DefinitionError("a worker needs at least one flow")
    return found
