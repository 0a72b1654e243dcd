"""The project itself, through its public API."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from peers.adapter import DatabaseAdapter, Kind
from peers.program import main
from peers.tally import handled
from pgflow import Flow, PgFlow, schema

CONCURRENCY = 200
MEGABYTE = "x" * 1_000_000

jobs = Flow("bench_job")
chains = Flow("bench_chain")
maps = Flow("bench_map")
FLOWS: dict[Kind, Flow] = {"jobs": jobs, "chains": chains, "map": maps, "megabytes": jobs}


@jobs.step
async def only(number: Any) -> int:
    handled()
    return 1


@chains.step
async def first(number: int) -> int:
    handled()
    return number


@chains.step
async def second(first: int) -> int:
    handled()
    return first


@chains.step
async def third(second: int) -> int:
    handled()
    return second


@maps.map
async def element(number: int) -> int:
    handled()
    return number


@maps.step
async def reduce(element: list[int]) -> int:
    handled()
    return sum(element)


class Pgflow(DatabaseAdapter):
    """Runs of flows."""

    name = "pgflow"
    packages = ("pgflow-py", "psycopg")
    settings = f"`run_worker(concurrency={CONCURRENCY})`, async handlers, results stored"
    kinds = frozenset({"jobs", "chains", "map", "megabytes"})
    unfinished_query = "select count(*) from pgflow.runs where status = 'started'"

    def prepare(self) -> None:
        """Migrate and register the flows."""
        with psycopg.connect(self.url) as connection:
            schema.migrate(connection)
        asyncio.run(self._compile())

    async def _compile(self) -> None:
        async with PgFlow(self.url) as app:
            for flow in FLOWS.values():
                await app.ensure_compiled(flow)

    def enqueue(self, kind: Kind, count: int) -> None:
        """Start runs in batches of a thousand, the map as one run."""
        asyncio.run(self._enqueue(kind, count))

    async def _enqueue(self, kind: Kind, count: int) -> None:
        async with PgFlow(self.url) as app:
            if kind == "map":
                await app.start_flow(maps, list(range(count)))
                return
            batch = 20 if kind == "megabytes" else 1000
            for begin in range(0, count, batch):
                numbers = range(begin, min(begin + batch, count))
                inputs = [MEGABYTE] * len(numbers) if kind == "megabytes" else list(numbers)
                await app.start_flows(FLOWS[kind], inputs)

    def work(self) -> None:
        """Work the flow of the kind, as the others work one queue."""
        asyncio.run(self._work())

    async def _work(self) -> None:
        async with PgFlow(self.url, flows=[FLOWS[self.kind]]) as app:
            await app.run_worker(concurrency=CONCURRENCY)

    async def open(self) -> None:
        """Open the client."""
        self._app = PgFlow(self.url)
        await self._app.open()

    async def start_one(self) -> Any:
        """Start a run."""
        return await self._app.start_flow(jobs, 1)

    async def wait_for(self, started: Any) -> None:
        """Wait for the run."""
        await started.wait()

    async def close(self) -> None:
        """Close the client."""
        await self._app.close()


if __name__ == "__main__":
    main(Pgflow)
