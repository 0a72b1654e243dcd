"""Workers in the process of the tests, and waiting for what they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgflow import Flow, PgFlow, Run
from pgflow.types import Json
from pgflow.worker.pace import PollInterval
from pgflow.worker.worker import Worker

DEADLINE_SECONDS = 20
QUICK = PollInterval(0.002, 0.02)


@asynccontextmanager
async def working(app: PgFlow, *flows: Flow, stop_within: float = 10, **options: Any) -> AsyncIterator[Worker]:
    """Run a worker; at the end it finishes its tasks, which it gets `stop_within` seconds for."""
    options.setdefault("poll_interval", QUICK)
    worker = Worker(app, flows, **options)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop(stop_within)


async def worked(app: PgFlow, flow: Flow, value: Json = None) -> Run:
    """Start a run and a worker, and return the run when it has ended."""
    async with working(app, flow):
        return await ended(app, flow, value)


async def ended(app: PgFlow, flow: Flow, value: Json = None) -> Run:
    """Start a run, while a worker runs, and return it when it has ended."""
    run = await app.start_flow(flow, value)
    return await run.wait(DEADLINE_SECONDS)


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Look again and again until the condition holds; fails after a deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s in vain: {what}"
        await asyncio.sleep(0.005)


def query(url: str, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """Run a statement on a connection of its own and return its rows, if it has any."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        cursor = connection.execute(statement, arguments)
        return cursor.fetchall() if cursor.description else []


def tasks(url: str) -> list[dict[str, Any]]:
    """All tasks, in their order."""
    return query(url, "select * from pgflow.step_tasks order by flow_slug, run_id, step_slug, task_index")


def task(url: str) -> dict[str, Any]:
    """The only task."""
    (only,) = tasks(url)
    return only


def error_of(run: Run) -> str:
    """What failed the run."""
    return next(step.error_message for step in run.steps if step.error_message is not None)
