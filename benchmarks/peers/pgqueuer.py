"""PgQueuer: a job queue on PostgreSQL. It stores no results and has no chains: a job enqueues the next one."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from typing import Any

import asyncpg
import uvloop
from pgqueuer import PgQueuer as Manager
from pgqueuer.core.completion import CompletionWatcher
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.queries import Queries

from peers.adapter import CHAIN_LENGTH, DatabaseAdapter, Kind
from peers.program import main
from peers.tally import handled

BATCH = 100
CONNECTIONS = 10
DEBOUNCE = timedelta(milliseconds=2)


class PgQueuer(DatabaseAdapter):
    """Jobs of entry points."""

    name = "pgqueuer"
    packages = ("pgqueuer", "asyncpg", "uvloop")
    settings = (
        f"`run(batch_size={BATCH})`, asyncpg with a pool of {CONNECTIONS}, uvloop (as its command does), async "
        "handlers, LISTEN on; no results; "
        "a chain is a job that enqueues the next; waits with its CompletionWatcher, debounce of 2 ms"
    )
    unfinished_query = "select count(*) from pgqueuer"

    def prepare(self) -> None:
        """Install the schema."""
        uvloop.run(self._prepare())

    async def _prepare(self) -> None:
        async with asyncpg.create_pool(self.url, min_size=1) as pool:
            await Queries(AsyncpgPoolDriver(pool)).install()

    def enqueue(self, kind: Kind, count: int) -> None:
        """Enqueue in batches of a thousand."""
        uvloop.run(self._enqueue(kind, count))

    async def _enqueue(self, kind: Kind, count: int) -> None:
        entrypoint = "link" if kind == "chains" else "job"
        async with asyncpg.create_pool(self.url, min_size=1) as pool:
            queries = Queries(AsyncpgPoolDriver(pool))
            for begin in range(0, count, 1000):
                size = min(1000, count - begin)
                await queries.enqueue([entrypoint] * size, [b"1"] * size, [0] * size)

    def work(self) -> None:
        """Work both entry points."""
        uvloop.run(self._work())

    async def _work(self) -> None:
        async with asyncpg.create_pool(self.url, min_size=1, max_size=CONNECTIONS) as pool:
            driver = AsyncpgPoolDriver(pool)
            manager = Manager(driver)
            manager.entrypoint("job")(_job)
            manager.entrypoint("link")(self._link)
            self._queries = Queries(driver)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, manager.shutdown.set)
            await manager.run(batch_size=BATCH)

    async def _link(self, job: Any) -> None:
        handled()
        position = int(job.payload)
        if position < CHAIN_LENGTH:
            await self._queries.enqueue("link", str(position + 1).encode())

    async def open(self) -> None:
        """Open a pool and the watcher."""
        self._pool = await asyncpg.create_pool(self.url, min_size=2)
        driver = AsyncpgPoolDriver(self._pool)
        self._queries = Queries(driver)
        self._watcher = CompletionWatcher(driver, queries=self._queries, debounce=DEBOUNCE)
        await self._watcher.__aenter__()

    async def start_one(self) -> Any:
        """Enqueue a job."""
        [job_id] = await self._queries.enqueue("job", b"1")
        return job_id

    async def wait_for(self, started: Any) -> None:
        """Let the watcher wait."""
        await self._watcher.wait_for(started)

    async def close(self) -> None:
        """Stop the watcher and disconnect."""
        await self._watcher.__aexit__(None)
        self._pool.terminate()  # the watcher keeps its connection


async def _job(job: Any) -> None:
    handled()


if __name__ == "__main__":
    main(PgQueuer)
