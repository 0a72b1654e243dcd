"""Celery with Redis as broker and result backend: not on PostgreSQL, here because it is what teams know."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import celery
import redis

from peers.adapter import CHAIN_LENGTH, Adapter, Kind
from peers.program import main
from peers.tally import handled

PROCESSES = os.cpu_count() or 2
PREFETCH = 100

app = celery.Celery("bench")
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    worker_prefetch_multiplier=PREFETCH,
    worker_hijack_root_logger=False,
    worker_disable_rate_limits=True,
)


@app.task(name="job")
def only(number: Any = 1) -> int:
    handled()
    return 1


class Celery(Adapter):
    """Messages in Redis."""

    name = "celery"
    packages = ("celery", "kombu", "redis")
    settings = (
        f"one worker with `--pool=prefork --concurrency={PROCESSES}`, `worker_prefetch_multiplier={PREFETCH}`, "
        "`task_acks_late=True`, no events, results in Redis; Redis with `appendonly yes` and its default `appendfsync "
        "everysec`: a crash loses up to a second, unlike with all others here; a chain is a `chain`, a map a `chord`"
    )
    kinds = frozenset({"jobs", "chains", "map"})

    def __init__(self, url: str, kind: Kind = "jobs") -> None:
        super().__init__(url, kind)
        app.conf.update(broker_url=url, result_backend=url)
        self._redis = redis.Redis.from_url(url) if url else None

    def prepare(self) -> None:
        """Empty Redis."""
        assert self._redis is not None
        self._redis.flushall()

    def enqueue(self, kind: Kind, count: int) -> None:
        """Publish one by one over one connection."""
        with app.producer_pool.acquire(block=True) as producer:
            if kind == "map":
                celery.chord((only.s(number) for number in range(count)), only.s()).apply_async(producer=producer)
                return
            job = celery.chain(*[only.s()] * CHAIN_LENGTH) if kind == "chains" else only.s()
            for _ in range(count):
                job.apply_async(producer=producer)

    def work(self) -> None:
        """Run the worker that the command runs."""
        options = ["--pool=prefork", f"--concurrency={PROCESSES}", "--loglevel=WARNING"]
        app.worker_main(["worker", "--without-gossip", "--without-mingle", "--without-heartbeat", *options])

    def unfinished(self) -> int:
        """Return how many messages wait or are unacknowledged; a result is stored before that."""
        assert self._redis is not None
        return int(self._redis.llen("celery")) + int(self._redis.hlen("unacked"))

    async def open(self) -> None:
        """Do nothing: connections open when they are needed."""

    async def start_one(self) -> Any:
        """Publish a task."""
        return only.delay(1)

    async def wait_for(self, started: Any) -> None:
        """Wait in a thread: it listens to Redis."""
        await asyncio.to_thread(started.get)

    async def close(self) -> None:
        """Do nothing: connections end with the process."""


if __name__ == "__main__":
    main(Celery)
