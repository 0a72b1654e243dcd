"""A worker with nothing to do asks the database rarely, and not at all while it has no room."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import pytest

from pgflow import Flow, PgFlow
from pgflow.listening import listener
from pgflow.worker.pace import PollInterval
from worker.running import ended, eventually, query, working

COUNTED = """
    create sequence fetches;
    alter function pgflow._take_tasks(text, uuid, int, timestamptz) rename to _uncounted_take_tasks;
    create function pgflow._take_tasks(
      p_flow_slug text, p_worker_id uuid, p_limit int, p_since timestamptz default null,
      out tasks pgflow.started_task[], out read_until timestamptz, out next_at timestamptz
    ) language plpgsql as $$
    begin
      perform nextval('public.fetches');
      select * into tasks, read_until, next_at from pgflow._uncounted_take_tasks($1, $2, $3, $4);
    end $$;
"""
HEARTBEATS = 20
HEARTBEAT_SECONDS = 0.05


@pytest.fixture
def url(newest_database_url: str) -> str:
    """A database that counts how often it is asked for tasks."""
    for statement in COUNTED.split(";\n    ", 2):
        query(newest_database_url, statement)
    return newest_database_url


def fetches(url: str) -> int:
    return int(query(url, "select last_value from fetches")[0]["last_value"])


async def heartbeats(url: str) -> None:
    """Let the worker live for so many heartbeats."""
    seen: set[datetime] = set()

    def are_enough() -> bool:
        seen.update(row["last_heartbeat_at"] for row in query(url, "select last_heartbeat_at from pgflow.workers"))
        return len(seen) > HEARTBEATS

    await eventually(are_enough, "the worker sends heartbeats")


async def test_an_idle_worker_does_not_spin(app: PgFlow, url: str) -> None:
    flow = Flow("idle")

    @flow.step
    def step(value: int) -> int:
        return value

    async with working(app, flow, heartbeat_interval=HEARTBEAT_SECONDS, poll_interval=PollInterval()):
        began = time.monotonic()
        await heartbeats(url)
        asked = fetches(url)
        seconds = time.monotonic() - began
    assert 1 <= asked <= 10 + 10 * seconds


async def test_an_idle_worker_that_listens_does_not_ask(app: PgFlow, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_SETTLING_SECONDS", 0.0)
    flow = Flow("told")

    @flow.step
    def step(value: int) -> int:
        return value

    async with working(app, flow, heartbeat_interval=HEARTBEAT_SECONDS, poll_interval=PollInterval()):
        await eventually(lambda: app.database.watcher.listener.is_settled("tasks"), "it listens")
        await heartbeats(url)
        before = fetches(url)
        await heartbeats(url)
        assert fetches(url) == before
        assert (await ended(app, flow, 1)).output == {"step": 1}


async def test_a_full_worker_does_not_ask_for_tasks(app: PgFlow, url: str) -> None:
    flow = Flow("full")
    entered, released = asyncio.Event(), asyncio.Event()

    @flow.map
    async def step(element: int) -> None:
        entered.set()
        await released.wait()

    async with working(app, flow, concurrency=1, heartbeat_interval=HEARTBEAT_SECONDS):
        await app.start_flow(flow, [1, 2])
        await eventually(entered.is_set, "a task runs")
        before = fetches(url)
        await heartbeats(url)
        assert fetches(url) == before
        released.set()
