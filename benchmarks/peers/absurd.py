"""Absurd: durable execution on PostgreSQL. A chain is a task of three steps, a map one task with a step per element."""

from __future__ import annotations

from typing import Any

import absurdctl
import psycopg
from absurd_sdk import Absurd as Client
from absurd_sdk import AsyncAbsurd

from peers.adapter import CHAIN_LENGTH, DatabaseAdapter, Kind, until
from peers.program import main
from peers.tally import handled

QUEUE = "bench"
BATCH = 100


class Absurd(DatabaseAdapter):
    """Spawned tasks."""

    name = "absurd"
    packages = ("absurd-sdk", "absurdctl", "psycopg")
    settings = (
        f"`Absurd.start_worker(batch_size={BATCH}, poll_interval=0.02)`, its synchronous worker (faster here than its "
        "other ones: all share one connection); a chain is a task of three steps; a map is a task with a step per "
        "element; waits by asking for the result every 2 ms"
    )
    kinds = frozenset({"jobs", "chains", "map"})
    unfinished_query = f"select count(*) from absurd.t_{QUEUE} where state not in ('completed', 'failed', 'cancelled')"  # noqa: S608

    def prepare(self) -> None:
        """Install the schema that its command-line tool carries."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(absurdctl.BUNDLED_SCHEMA_SQL)
            Client(connection, queue_name=QUEUE).create_queue()

    def enqueue(self, kind: Kind, count: int) -> None:
        """Spawn one by one, a thousand in a transaction: it has no call for many."""
        with psycopg.connect(self.url) as connection:
            client = Client(connection, queue_name=QUEUE)
            if kind == "map":
                client.spawn("map", count, queue=QUEUE)
                return
            for number in range(count):
                client.spawn("chain" if kind == "chains" else "job", number, queue=QUEUE)
                if number % 1000 == 999:
                    connection.commit()

    def work(self) -> None:
        """Work the queue."""
        client = Client(self.url, queue_name=QUEUE)
        for name, function in (("job", _job), ("chain", _chain), ("map", _map)):
            client.register_task(name=name)(function)
        client.start_worker(batch_size=BATCH, poll_interval=0.02)

    async def open(self) -> None:
        """Connect."""
        self._client = AsyncAbsurd(self.url, queue_name=QUEUE)

    async def start_one(self) -> Any:
        """Spawn a task."""
        return (await self._client.spawn("job", 1, queue=QUEUE))["task_id"]

    async def wait_for(self, started: Any) -> None:
        """Ask for the result until it is there; its own wait begins with a pause of 50 ms."""

        async def has_ended() -> bool:
            return bool((await self._client.fetch_task_result(started)).state == "completed")

        await until(has_ended)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()


def _job(number: int, context: Any) -> int:
    handled()
    return number


def _chain(number: int, context: Any) -> int:
    for position in range(CHAIN_LENGTH):
        number = context.step(f"link-{position}", lambda: _element(number))  # noqa: B023 - called at once
    return number


def _map(count: int, context: Any) -> int:
    elements = [context.step(f"element-{number}", lambda: _element(number)) for number in range(count)]  # noqa: B023
    return int(context.step("reduce", lambda: _element(sum(elements))))


def _element(number: int) -> int:
    handled()
    return number


if __name__ == "__main__":
    main(Absurd)
