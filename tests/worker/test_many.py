"""Many flows in one worker, and many workers with nothing to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from conftest import as_superuser
from pgflow import Flow, PgFlow
from servers import Server
from worker.running import DEADLINE_SECONDS, eventually, query, working

FLOWS = 50
WORKERS = 20
IDLE_SECONDS = 40
MOST_PER_WORKER = 0.1
"""Statements per second of a worker with nothing to do."""


def chained(slug: str) -> Flow:
    flow = Flow(slug)

    @flow.step
    async def first(value: int) -> int:
        return value + 1

    @flow.step
    def second(first: int) -> int:
        return 2 * first

    return flow


async def test_fifty_flows_in_one_worker(app: PgFlow, url: str) -> None:
    flows = [chained(f"flow_{number}") for number in range(FLOWS)]
    async with working(app, *flows, heartbeat_interval=0.1):
        runs = [run for flow in flows for run in await app.start_flows(flow, range(10))]
        outputs = await asyncio.gather(*(run.result(DEADLINE_SECONDS) for run in runs))
    assert outputs == [{"second": 2 * (value + 1)} for _ in flows for value in range(10)]
    stopped = query(url, "select count(*) filter (where stopped_at is not null) as stopped from pgflow.workers")
    assert stopped == [{"stopped": FLOWS}]


@pytest.mark.slow
async def test_idle_workers_leave_the_server_alone(
    newest_server: Server, newest_database_url: str, record_property: Callable[[str, object], None]
) -> None:
    with logged_statements(newest_server, newest_database_url) as count:
        async with AsyncExitStack() as stack:
            for number in range(WORKERS):
                app = await stack.enter_async_context(PgFlow(newest_database_url))
                await app.start_worker(chained(f"idle_{number % 5}"))
            await eventually(lambda: listeners(newest_database_url) == WORKERS, "all workers listen")
            await asyncio.sleep(3)  # what they do once at the start
            before, began = count(), time.monotonic()
            await asyncio.sleep(IDLE_SECONDS)
            statements, seconds = count() - before, time.monotonic() - began
    record_property(
        "statistics",
        f"{WORKERS} idle workers: {statements} statements in {seconds:.0f} s, {statements / seconds:.2f} per second,"
        f" one per worker in {WORKERS * seconds / max(statements, 1):.1f} s",
    )
    assert statements / seconds / WORKERS < MOST_PER_WORKER


def listeners(url: str) -> int:
    return int(query(url, "select count(*) from pgflow.listeners where topic = 'tasks'")[0]["count"])


@contextmanager
def logged_statements(server: Server, url: str) -> Iterator[Callable[[], int]]:
    """Let the server log every statement in a database; gives a function that counts those so far."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    log = Path(f"{server.directory}/log")
    with as_superuser(url, autocommit=True) as superuser:
        superuser.execute(f"alter database {name} set log_statement = 'all'")
        yield lambda: sum(
            "LOG:  statement: " in line or "LOG:  execute " in line for line in log.read_text().splitlines()
        )
        superuser.execute(f"alter database {name} reset log_statement")
