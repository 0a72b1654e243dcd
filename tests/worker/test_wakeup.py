"""A worker that listens is told of tasks; it looks rarely, and exactly when a delayed one becomes visible."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from conftest import as_superuser
from pgflow import Flow, PgFlow, Retry
from pgflow.listening import listener
from pgflow.worker import exchange
from pgflow.worker.pace import PollInterval
from pgflow.worker.trade import Trader
from pgflow.worker.worker import Worker
from worker.running import DEADLINE_SECONDS, ended, eventually, query, working

LISTENS = PollInterval()


@pytest.fixture(autouse=True)
def _only_notifications_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found by looking now and then."""
    monkeypatch.setattr(listener, "_SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(exchange, "_PAUSE_WITH_NOTIFICATIONS", 3600.0)


def plain(slug: str = "plain", **options: Any) -> Flow:
    flow = Flow(slug, **options)

    @flow.step
    async def step(value: int) -> int:
        return value

    return flow


async def idle(app: PgFlow, worker: Worker) -> None:
    """Wait until the worker relies on notifications and sleeps."""
    await eventually(lambda: app.database.watcher.listener.is_settled("tasks"), "it listens")
    await eventually(lambda: worker._exchange.notified, "it relies on that")
    pool = app.database._pool
    assert pool is not None
    await eventually(lambda: not worker._exchange._wake.is_set(), "it has looked")
    async with pool.connection() as connection:  # and the look is over
        await connection.execute("select 1")


async def test_a_run_wakes_an_idle_worker(app: PgFlow) -> None:
    flow = plain()
    async with working(app, flow, poll_interval=LISTENS) as worker:
        for value in range(3):
            await idle(app, worker)
            assert (await ended(app, flow, value)).output == {"step": value}


async def test_a_worker_that_is_told_does_not_look_again_after_its_work(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, trades = plain(), [0]
    trade = Trader.trade

    async def counted(*arguments: Any) -> Any:
        trades[0] += 1
        return await trade(*arguments)

    async with working(app, flow, poll_interval=PollInterval(0.001, 0.001)) as worker:
        await idle(app, worker)
        monkeypatch.setattr(Trader, "trade", counted)
        for value in range(10):
            assert (await ended(app, flow, value)).output == {"step": value}
        await idle(app, worker)
    assert trades[0] <= 10 * 2 + 1  # a task is fetched and reported; the worker stops


async def test_runs_of_others_wake_nobody(app: PgFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = plain("mine"), plain("other")
    async with working(app, mine, poll_interval=LISTENS) as worker:
        await idle(app, worker)
        await app.ensure_compiled(other)
        woken: list[str] = []
        monkeypatch.setattr(worker._exchange, "wake", lambda: woken.append("woken"))
        await app.start_flow(other, 1)
        await app.start_flow(mine, 1)
        await eventually(lambda: woken, "its own run wakes it")
        assert woken == ["woken"]
        monkeypatch.undo()
        worker._exchange.wake()


async def test_a_retry_comes_when_it_is_due(app: PgFlow) -> None:
    flow = Flow("again")

    @flow.step
    async def step(value: int, ctx: Any) -> int:
        if ctx.attempt == 1:
            raise Retry(after=1)
        return value

    async with working(app, flow, poll_interval=LISTENS) as worker:
        await idle(app, worker)
        began = time.monotonic()
        assert (await ended(app, flow, 5)).output == {"step": 5}
        assert 1 <= time.monotonic() - began < 10


async def test_a_step_with_a_start_delay_comes_when_it_is_due(app: PgFlow) -> None:
    flow = Flow("late")

    @flow.step(start_delay=1)
    async def step(value: int) -> int:
        return value

    async with working(app, flow, poll_interval=LISTENS) as worker:
        await idle(app, worker)
        began = time.monotonic()
        assert (await ended(app, flow, 5)).output == {"step": 5}
        assert 1 <= time.monotonic() - began < 10


async def test_a_retry_is_taken_by_whoever_is_idle(app: PgFlow, url: str) -> None:
    flow = Flow("shared")
    entered, released = asyncio.Event(), asyncio.Event()

    @flow.map
    async def step(element: int, ctx: Any) -> int:
        if element == 0:
            if ctx.attempt == 1:
                await entered.wait()
                raise Retry(after=1)
            return 0
        entered.set()
        await released.wait()
        return element

    async with working(app, flow, poll_interval=LISTENS, concurrency=2), PgFlow(url) as other:
        run = await app.start_flow(flow, [0, 1])
        await eventually(entered.is_set, "both tasks run")
        async with working(other, flow, poll_interval=LISTENS, concurrency=1):
            await eventually(
                lambda: query(url, "select 1 from pgflow.step_tasks where status = 'completed'"), "the retry"
            )
            released.set()
            assert (await run.wait(DEADLINE_SECONDS)).output == {"step": [0, 1]}


@pytest.mark.parametrize("times", [1, 3])
async def test_a_worker_that_loses_its_listener_works_on(app: PgFlow, url: str, times: int) -> None:
    flow = plain()
    async with working(app, flow, poll_interval=LISTENS) as worker:
        for value in range(times):
            await idle(app, worker)
            end_listeners(url)
            assert (await ended(app, flow, value)).output == {"step": value}


def end_listeners(url: str) -> None:
    with as_superuser(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where datname = current_database() and query like '%%register_listener%%' and pid <> pg_backend_pid()"
        )


async def test_a_worker_without_listener_looks_now_and_then(url: str) -> None:
    flow = plain()
    async with PgFlow(url, listen=False) as app, working(app, flow):
        assert (await ended(app, flow, 1)).output == {"step": 1}
        assert not app.database.watcher.listener.is_settled("tasks")


async def test_many_runs_are_worked_by_workers_that_listen(app: PgFlow, url: str) -> None:
    flow = plain()
    options = {"poll_interval": LISTENS, "concurrency": 3}
    async with working(app, flow, **options), PgFlow(url) as other, working(other, flow, **options):
        for _ in range(5):
            runs = await app.start_flows(flow, list(range(20)))
            done = await asyncio.gather(*(run.wait(DEADLINE_SECONDS) for run in runs))
            assert [run.output["step"] for run in done] == list(range(20))
