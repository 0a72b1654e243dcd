"""DBOS: durable execution on PostgreSQL. A chain is a workflow of three steps, a map one that enqueues others."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSClient, run_dbos_database_migrations

from peers.adapter import STATUS_PAUSE, DatabaseAdapter, Kind
from peers.program import main
from peers.tally import handled

NAME = "bench"
CONCURRENCY = 200
POLLING_SECONDS = 0.05
WORKFLOWS: dict[Kind, str] = {"jobs": "job", "chains": "chain", "map": "map"}


class Dbos(DatabaseAdapter):
    """Workflows on a queue."""

    name = "dbos"
    packages = ("dbos", "sqlalchemy", "psycopg")
    settings = (
        f"queue with `worker_concurrency={CONCURRENCY}`, `polling_interval_sec={POLLING_SECONDS}` (default 1), async "
        "workflows, default pool of 20; a job is a workflow, a chain a workflow of three steps, a map a workflow that "
        f"enqueues one per element and waits; results asked for every {STATUS_PAUSE * 1000:g} ms"
    )
    kinds = frozenset(WORKFLOWS)
    unfinished_query = "select count(*) from dbos.workflow_status where status in ('ENQUEUED', 'PENDING', 'DELAYED')"

    def __init__(self, url: str, kind: Kind = "jobs") -> None:
        super().__init__(url.replace("postgresql://", "postgresql+psycopg://"), kind)
        self._plain_url = url

    def unfinished(self) -> int:
        """Ask with a URL that psycopg understands."""
        if self._connection is None:
            import psycopg

            self._connection = psycopg.connect(self._plain_url, autocommit=True)
        return super().unfinished()

    def prepare(self) -> None:
        """Migrate and register the queue."""
        run_dbos_database_migrations(self.url)
        client = DBOSClient(system_database_url=self.url)
        client.register_queue(
            NAME, worker_concurrency=CONCURRENCY, polling_interval_sec=POLLING_SECONDS, application_name=NAME
        )
        client.destroy()

    def enqueue(self, kind: Kind, count: int) -> None:
        """Enqueue one by one, a thousand in a transaction: it has no call for many."""
        client = self._client()
        engine = sqlalchemy.create_engine(self.url)
        if kind == "map":
            client.enqueue(_options(kind), count)
        else:
            for begin in range(0, count, 1000):
                with engine.begin() as connection:
                    for number in range(begin, min(begin + 1000, count)):
                        client.enqueue_in_transaction(connection, _options(kind), number)
        client.destroy()

    def work(self) -> None:
        """Launch, and wait for the signal."""
        stopped = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        config = {
            "name": NAME,
            "system_database_url": self.url,
            "application_version": NAME,
            "log_level": "WARNING",
        }
        DBOS(config=config)
        DBOS.launch()
        stopped.wait()
        DBOS.destroy()

    async def open(self) -> None:
        """Connect."""
        self._waiting = self._client()

    async def start_one(self) -> Any:
        """Enqueue a workflow."""
        return await self._waiting.enqueue_async(_options("jobs"), 1)

    async def wait_for(self, started: Any) -> None:
        """Let the handle ask."""
        await started.get_result(polling_interval_sec=STATUS_PAUSE)

    async def close(self) -> None:
        """Disconnect."""
        self._waiting.destroy()

    def _client(self) -> Any:
        return DBOSClient(system_database_url=self.url, application_name=NAME)


def _options(kind: Kind) -> dict[str, Any]:
    return {"workflow_name": WORKFLOWS[kind], "queue_name": NAME, "app_version": NAME}


@DBOS.workflow(name="job")
async def _job(number: int) -> int:
    handled()
    return number


@DBOS.step(name="link")
async def _link(number: int) -> int:
    handled()
    return number


@DBOS.workflow(name="chain")
async def _chain(number: int) -> int:
    return int(await _link(await _link(await _link(number))))


@DBOS.workflow(name="map")
async def _map(count: int) -> int:
    handles = [await DBOS.enqueue_workflow_async(NAME, _job, number) for number in range(count)]
    return int(await _link(sum(await asyncio.gather(*(handle.get_result() for handle in handles)))))


if __name__ == "__main__":
    main(Dbos)
