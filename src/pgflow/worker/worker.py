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

from pgflow import calls
from pgflow._async.client import Client
from pgflow.errors import DefinitionError, PgFlowError
from pgflow.flow import Flow
from pgflow.worker.exchange import ExchangeLoop, PollInterval
from pgflow.worker.executor import Executor
from pgflow.worker.service import PeriodicService

logger = logging.getLogger("pgflow.worker")


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
        if self.state is not WorkerState.CREATED:
            raise RuntimeError(f"a worker starts once; this one is {self.state}")
        self.state = WorkerState.STARTING
        await self._client.open()
        for flow in self._flows.values():
            status = await self._client.ensure_compiled(flow)
            logger.info("flow %s: %s", flow.slug, status)
        for slug, worker_id in self._worker_ids.items():
            await self._client.database.run(calls.register_worker(worker_id, slug, self._name))
        self._heartbeats.start()
        self._recovery.start()
        self._loop_task = asyncio.create_task(self._exchange.run(), name="pgflow-exchange")
        self.state = WorkerState.RUNNING
        logger.info("worker runs: %s", ", ".join(self._flows))

    async def wait(self) -> None:
        """Wait until the worker has been asked to stop and has nothing left to do. Raises what its loop raised."""
        assert self._loop_task is not None, "start() comes first"
        await asyncio.shield(self._loop_task)

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
        logger.warning("worker abandons %d tasks", self._exchange.unfinished)
        self._exchange.abandon()

    async def stop(self, timeout: float = 30) -> None:
        """Stop fetching, wait at most `timeout` seconds for the handlers that run, abandon the rest. Again is fine."""
        if self.state is WorkerState.STOPPED:
            return
        self.request_stop()
        if self._loop_task is not None:
            await self._drain(self._loop_task, timeout)
        await self._heartbeats.stop()
        await self._recovery.stop()
        self._executor.close()
        await self._sign_off()
        self.state = WorkerState.STOPPED
        logger.info("worker stopped")

    async def run(self, *, timeout: float = 30) -> None:
        """Start, work until SIGTERM or SIGINT, stop. A second signal ends it at once.

        `timeout` is that of :meth:`stop`. Raises what :meth:`start` raises.
        """
        await self.start()
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self._on_signal)
        try:
            asked = asyncio.create_task(self._stopping.wait())
            assert self._loop_task is not None
            await asyncio.wait({asked, self._loop_task}, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
        finally:
            await self.stop(timeout)
            for number in signals:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self.abandon()
        else:
            self.request_stop()

    async def _drain(self, loop_task: asyncio.Task[None], timeout: float) -> None:
        _, pending = await asyncio.wait({loop_task}, timeout=timeout)
        if pending:
            self.abandon()
            _, pending = await asyncio.wait({loop_task}, timeout=5)
        if pending:  # the database doesn't take the last reports
            loop_task.cancel()
        results = await asyncio.gather(loop_task, return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                raise error

    async def _sign_off(self) -> None:
        for worker_id in self._worker_ids.values():
            try:
                await self._client.database.run(calls.mark_worker_stopped(worker_id))
            except PgFlowError as error:
                logger.warning("the database doesn't know that this worker has stopped: %s", error)

    async def _send_heartbeats(self) -> None:
        deprecated = await self._client.database.run(calls.send_heartbeats(list(self._worker_ids.values())))
        for slug, worker_id in self._worker_ids.items():
            if worker_id in deprecated:
                logger.info("worker of flow %s is deprecated and takes no more tasks", slug)
                self._exchange.stop_fetching(slug)

    async def _recover(self) -> None:
        count = await self._client.database.run(calls.requeue_stalled_tasks())
        if count:
            logger.warning("put %d stalled tasks back into their queues", count)


def _by_slug(flows: Iterable[Flow]) -> dict[str, Flow]:
    found: dict[str, Flow] = {}
    for flow in flows:
        flow.check()
        if found.setdefault(flow.slug, flow) is not flow:
            raise DefinitionError(f"two flows are called {flow.slug!r}")
    if not found:
        raise DefinitionError("a worker needs at least one flow")
    return found
