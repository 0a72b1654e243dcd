"""Chancy: a job queue on PostgreSQL with workflows as a plug-in."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from chancy import Chancy as Client
from chancy import Queue, Worker, job
from chancy.plugins.leadership import Leadership
from chancy.plugins.workflow import Workflow, WorkflowPlugin

from peers.adapter import CHAIN_LENGTH, STATUS_PAUSE, DatabaseAdapter, Kind
from peers.program import main
from peers.tally import handled

QUEUE = "bench"
CONCURRENCY = 200


@job(queue=QUEUE)
async def only(number: int) -> int:
    handled()
    return number


class Chancy(DatabaseAdapter):
    """Pushed jobs and workflows."""

    name = "chancy"
    packages = ("chancy", "psycopg")
    settings = (
        f"`Queue(concurrency={CONCURRENCY}, executor=AsyncExecutor, polling_interval=1, eager_polling=True)`, async "
        "jobs, default plug-ins, leader and workflows looking every second (defaults 60 and 30); ends of jobs are "
        "written once a second, until then a crash forgets them; results aren't passed from step to step"
    )
    kinds = frozenset({"jobs", "chains", "map"})
    unfinished_query = (
        "select (select count(*) from chancy_jobs where state not in ('succeeded', 'failed'))"
        " + (select count(*) from chancy_workflows where state not in ('completed', 'failed'))"
    )

    def __init__(self, url: str, kind: Kind = "jobs") -> None:
        super().__init__(url, kind)
        plugins = [Leadership(poll_interval=1, timeout=5), WorkflowPlugin(polling_interval=1)]
        self.client = Client(url, plugins=plugins, log=logging.getLogger("chancy"))

    def prepare(self) -> None:
        """Migrate and declare the queue."""
        asyncio.run(self._prepare())

    async def _prepare(self) -> None:
        async with self.client:
            await self.client.migrate()
            queue = Queue(
                QUEUE,
                concurrency=CONCURRENCY,
                executor=Client.Executor.Async,
                polling_interval=1,
                eager_polling=True,
            )
            await self.client.declare(queue, upsert=True)

    def enqueue(self, kind: Kind, count: int) -> None:
        """Push jobs in batches of a thousand, workflows one by one."""
        asyncio.run(self._enqueue(kind, count))

    async def _enqueue(self, kind: Kind, count: int) -> None:
        async with self.client:
            if kind == "jobs":
                jobs = [only.job.with_kwargs(number=number) for number in range(count)]
                async for _ in self.client.push_many(jobs, batch_size=1000):
                    pass
            elif kind == "map":
                await WorkflowPlugin.push(self.client, _map(count))
            else:
                for _ in range(count):
                    await WorkflowPlugin.push(self.client, _chain())

    def work(self) -> None:
        """Work all queues."""
        asyncio.run(self._work())

    async def _work(self) -> None:
        async with self.client, Worker(self.client) as worker:
            await worker.wait_for_shutdown()

    async def open(self) -> None:
        """Open the pool."""
        await self.client.__aenter__()

    async def start_one(self) -> Any:
        """Push a job."""
        return await self.client.push(only.job.with_kwargs(number=1))

    async def wait_for(self, started: Any) -> None:
        """Let it ask for the job every 2 ms."""
        await self.client.wait_for_job(started, interval=STATUS_PAUSE)

    async def close(self) -> None:
        """Close the pool."""
        await self.client.__aexit__(None, None, None)


def _chain() -> Workflow:
    workflow = Workflow("chain")
    for position in range(CHAIN_LENGTH):
        before = [f"link_{position - 1}"] if position else []
        workflow.add(f"link_{position}", only.job.with_kwargs(number=position), before)
    return workflow


def _map(count: int) -> Workflow:
    elements = [(f"element_{number}", only.job.with_kwargs(number=number)) for number in range(count)]
    workflow = Workflow("map").add_group(elements)
    return workflow.add("reduce", only.job.with_kwargs(number=count), [name for name, _ in elements])


if __name__ == "__main__":
    main(Chancy)
