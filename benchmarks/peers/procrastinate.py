"""Procrastinate: a task queue on PostgreSQL. It stores no results and has no chains: a task defers the next one."""

from __future__ import annotations

import asyncio
from typing import Any

import procrastinate

from peers.adapter import CHAIN_LENGTH, DatabaseAdapter, Kind, until
from peers.program import main
from peers.tally import handled

CONCURRENCY = 20
CONNECTIONS = 12


class Procrastinate(DatabaseAdapter):
    """Deferred tasks."""

    name = "procrastinate"
    packages = ("procrastinate", "psycopg")
    settings = (
        f"`run_worker_async(concurrency={CONCURRENCY})`, pool of {CONNECTIONS}, async tasks, LISTEN on; "
        "no results; a chain is a task that defers the next; waits by asking for the status every 2 ms"
    )
    unfinished_query = "select count(*) from procrastinate_jobs where status in ('todo', 'doing')"

    def __init__(self, url: str, kind: Kind = "jobs") -> None:
        super().__init__(url, kind)
        connector = procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=CONNECTIONS)
        self.app = procrastinate.App(connector=connector)
        self.job = self.app.task(name="job")(self._job)
        self.link = self.app.task(name="link")(self._link)

    async def _job(self, number: int) -> int:
        handled()
        return number

    async def _link(self, number: int, position: int) -> int:
        handled()
        if position < CHAIN_LENGTH:
            await self.link.defer_async(number=number, position=position + 1)
        return number

    def prepare(self) -> None:
        """Apply the schema."""
        asyncio.run(self._prepare())

    async def _prepare(self) -> None:
        async with self.app.open_async():
            await self.app.schema_manager.apply_schema_async()

    def enqueue(self, kind: Kind, count: int) -> None:
        """Defer in batches of a thousand."""
        asyncio.run(self._enqueue(kind, count))

    async def _enqueue(self, kind: Kind, count: int) -> None:
        async with self.app.open_async():
            for begin in range(0, count, 1000):
                numbers = range(begin, min(begin + 1000, count))
                if kind == "chains":
                    await self.link.batch_defer_async(*({"number": number, "position": 1} for number in numbers))
                else:
                    await self.job.batch_defer_async(*({"number": number} for number in numbers))

    def work(self) -> None:
        """Work all queues."""
        asyncio.run(self._work())

    async def _work(self) -> None:
        async with self.app.open_async():
            await self.app.run_worker_async(concurrency=CONCURRENCY)

    async def open(self) -> None:
        """Open the pool."""
        await self.app.open_async()

    async def start_one(self) -> Any:
        """Defer a task."""
        return await self.job.defer_async(number=1)

    async def wait_for(self, started: Any) -> None:
        """Ask for the status until it is final."""

        async def has_ended() -> bool:
            status = await self.app.job_manager.get_job_status_async(started)
            return status is procrastinate.jobs.Status.SUCCEEDED

        await until(has_ended)

    async def close(self) -> None:
        """Close the pool."""
        await self.app.close_async()


if __name__ == "__main__":
    main(Procrastinate)
