"""The reference pgflow core, its released migrations as downloaded, with the obvious worker over its SQL functions."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from pgmq.install import get_embedded_install_sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from peers.adapter import DatabaseAdapter, Kind, until
from peers.program import main
from peers.tally import handled

PACKAGE = "BENCH_REFERENCE"
"""Environment variable that names the folder of the unpacked package."""

CONNECTIONS = 10
BATCH = 10
VISIBILITY_SECONDS = 30
POLL_MILLISECONDS = 100
FLOWS: dict[Kind, str] = {"jobs": "bench_job", "chains": "bench_chain", "map": "bench_map"}

_STAND_IN = """
create schema realtime;
create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql as $$ begin end $$;
"""
_DEFINE = """
select pgflow.create_flow('bench_job'), pgflow.create_flow('bench_chain'), pgflow.create_flow('bench_map');
select pgflow.add_step('bench_job', 'only');
select pgflow.add_step('bench_chain', 'first');
select pgflow.add_step('bench_chain', 'second', array['first']);
select pgflow.add_step('bench_chain', 'third', array['second']);
select pgflow.add_step('bench_map', 'element', step_type => 'map');
select pgflow.add_step('bench_map', 'reduce', array['element']);
"""
_START = "select run_id from pgflow.start_flow(%s, %s)"
_READ = "select msg_id from pgmq.read_with_poll(%s, %s, %s, 2, %s)"
_BEGIN = "select run_id, step_slug, task_index, input from pgflow.start_tasks(%s, %s, %s)"
_COMPLETE = "select from pgflow.complete_task(%s, %s, %s, %s)"


class Reference(DatabaseAdapter):
    """Runs of the core's flows."""

    name = "reference"
    packages = ("psycopg", "psycopg-pool", "pgmq")
    settings = (
        f"a worker over {CONNECTIONS} connections in autocommit: `pgmq.read_with_poll` ({BATCH} messages, "
        f"every {POLL_MILLISECONDS} ms), `start_tasks`, `complete_task` for each; `realtime.send` does nothing; waits "
        "by asking for the run every 2 ms"
    )
    kinds = frozenset(FLOWS)
    unfinished_query = "select count(*) from pgflow.runs where status = 'started'"

    def versions(self) -> dict[str, str]:
        """Return the version of the core, too."""
        package = json.loads((Path(os.environ[PACKAGE]) / "package.json").read_text())
        return {package["name"]: package["version"], **super().versions()}

    def prepare(self) -> None:
        """Install pgmq and apply the migrations in their order."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            offered = connection.execute("select true from pg_available_extensions where name = 'pgmq'").fetchone()
            if not offered:
                connection.execute(get_embedded_install_sql())
            connection.execute(_STAND_IN)
            for path in sorted(Path(os.environ[PACKAGE]).glob("dist/supabase/migrations/*.sql")):
                text = path.read_text()
                connection.execute(text if offered else re.sub(r"(?i)^create extension[^;]*;", "", text, flags=re.M))
            connection.execute(_DEFINE)

    def enqueue(self, kind: Kind, count: int) -> None:
        """Start runs one by one, a thousand in a transaction: it has no call for many."""
        with psycopg.connect(self.url) as connection:
            if kind == "map":
                connection.execute(_START, [FLOWS[kind], Jsonb(list(range(count)))])
                return
            for number in range(count):
                connection.execute(_START, [FLOWS[kind], Jsonb(number)])
                if number % 1000 == 999:
                    connection.commit()

    def work(self) -> None:
        """Work the flow of the kind, as the others work one queue."""
        asyncio.run(self._work())

    async def _work(self) -> None:
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        async with _pool(self.url, CONNECTIONS) as pool:
            worker = asyncio.create_task(_Worker(pool, FLOWS[self.kind]).run())
            stopping = asyncio.create_task(stopped.wait())
            await asyncio.wait({worker, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if worker.done():
                worker.result()
            worker.cancel()

    async def open(self) -> None:
        """Connect."""
        self._client = await psycopg.AsyncConnection.connect(self.url, autocommit=True)

    async def start_one(self) -> Any:
        """Start a run."""
        cursor = await self._client.execute(_START, ["bench_job", Jsonb(1)])
        row = await cursor.fetchone()
        assert row is not None
        return row[0]

    async def wait_for(self, started: Any) -> None:
        """Ask for the status."""
        query = "select true from pgflow.runs where run_id = %s and status = 'completed'"

        async def has_ended() -> bool:
            return await (await self._client.execute(query, [started])).fetchone() is not None

        await until(has_ended)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()


class _Worker:
    """Polls the queue of a flow, starts tasks, completes each on a connection of its own."""

    def __init__(self, pool: AsyncConnectionPool[Any], flow_slug: str) -> None:
        self._pool = pool
        self._flow_slug = flow_slug
        self._worker_id = uuid4()
        self._room = asyncio.Semaphore(BATCH)

    async def run(self) -> None:
        async with self._pool.connection() as connection:
            register = "insert into pgflow.workers (worker_id, queue_name, function_name) values (%s, %s, 'bench')"
            await connection.execute(register, [self._worker_id, self._flow_slug])
        async with asyncio.TaskGroup() as group:
            while True:
                for task in await self._fetch():
                    await self._room.acquire()
                    group.create_task(self._execute(task))

    async def _fetch(self) -> list[dict[str, Any]]:
        async with self._pool.connection() as connection:
            read = await connection.execute(_READ, [self._flow_slug, VISIBILITY_SECONDS, BATCH, POLL_MILLISECONDS])
            message_ids = [row["msg_id"] for row in await read.fetchall()]
            if not message_ids:
                return []
            begun = await connection.execute(_BEGIN, [self._flow_slug, message_ids, self._worker_id])
            tasks: list[dict[str, Any]] = await begun.fetchall()
            return tasks

    async def _execute(self, task: dict[str, Any]) -> None:
        try:
            handled()
            async with self._pool.connection() as connection:
                key = (task["run_id"], task["step_slug"], task["task_index"])
                await connection.execute(_COMPLETE, [*key, Jsonb(1)])
        finally:
            self._room.release()


def _pool(url: str, size: int) -> AsyncConnectionPool[Any]:
    options = {"autocommit": True, "row_factory": dict_row}
    return AsyncConnectionPool(url, min_size=size, max_size=size, kwargs=options, open=False)


if __name__ == "__main__":
    main(Reference)
