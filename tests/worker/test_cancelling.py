"""Workers and runs that are cancelled or retried while their handlers run."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pgflow import Context, Flow, PgFlow, RunFailed
from pgflow.worker import worker as worker_module
from worker import handlers_elsewhere as elsewhere
from worker.effects import INSERT, numbers
from worker.running import DEADLINE_SECONDS, eventually, query, task, tasks, working
from worker.test_processes import is_alive


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LEASE_SECONDS", 0.04)


async def test_an_async_handler_is_cancelled_and_nothing_is_reported(app: PgFlow, url: str) -> None:
    flow = Flow("waiting")
    entered, cancelled = asyncio.Event(), asyncio.Event()

    @flow.step
    async def step(value: int) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with working(app, flow):
        run = await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        await run.cancel(reason="enough")
        await eventually(cancelled.is_set, "it is cancelled")
        with pytest.raises(RunFailed, match="was cancelled: enough"):
            await run.result(DEADLINE_SECONDS)
    assert (task(url)["status"], task(url)["error_message"]) == ("started", None)


async def test_a_thread_sees_it_and_what_it_returns_is_ignored(app: PgFlow, url: str) -> None:
    flow = Flow("thread")
    entered, seen = threading.Event(), threading.Event()

    @flow.step
    def step(value: int, ctx: Context) -> str:
        entered.set()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not ctx.cancelled:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        seen.set()
        return "late"

    async with working(app, flow):
        run = await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        await run.cancel()
        await eventually(seen.is_set, "it sees that it was cancelled")
    assert (task(url)["status"], task(url)["output"]) == ("started", None)


async def test_a_process_is_killed_with_all_that_it_started(app: PgFlow, url: str, tmp_path: Path) -> None:
    flow = Flow("processes")
    flow.step(elsewhere.hangs, executor="process")
    async with working(app, flow, processes=1):
        run = await app.start_flow(flow, str(tmp_path))
        await eventually((tmp_path / "pids").exists, "the handler runs")
        await run.cancel()
        for process_id in (tmp_path / "pids").read_text().split():
            await eventually(partial(_is_dead, int(process_id)), "the process is dead")
    assert task(url)["status"] == "started"


def _is_dead(process_id: int) -> bool:
    return not is_alive(process_id)


async def test_quick_tasks_are_not_asked_about(app: PgFlow, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def extend_leases(held: Any) -> Any:
        asked.append(held)
        raise AssertionError("nobody has held a task for so long")

    monkeypatch.setattr(worker_module, "_LEASE_SECONDS", 60.0)
    monkeypatch.setattr("pgflow.worker.lease.calls.extend_leases", extend_leases)
    flow = Flow("quick")

    @flow.map
    async def step(value: int) -> int:
        return value

    async with working(app, flow):
        run = await app.start_flow(flow, list(range(100)))
        assert await run.result(DEADLINE_SECONDS) == {"step": list(range(100))}
    assert asked == []


async def test_it_is_retried_by_the_worker_whose_handler_still_runs(app: PgFlow, url: str) -> None:
    flow = Flow("again", max_attempts=1)
    attempts: list[tuple[int, int]] = []
    first, cancelled = asyncio.Event(), asyncio.Event()

    @flow.step
    async def step(value: int, ctx: Context) -> str:
        attempts.append((ctx.attempt, ctx.max_attempts))
        if len(attempts) > 1:
            return "second"
        first.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return "first"

    async with working(app, flow):
        run = await app.start_flow(flow, 1)
        await eventually(first.is_set, "the first attempt runs")
        assert await app.cancel_run(run.run_id) == "cancelled"
        assert await app.retry_run(run.run_id) == "retried"
        await eventually(cancelled.is_set, "the first attempt is cancelled")
        assert await (await run.refresh()).result(DEADLINE_SECONDS) == {"step": "second"}
    assert attempts == [(1, 1), (2, 2)]


async def test_what_is_reported_by_a_handler_that_was_not_told_in_time_is_ignored(app: PgFlow, url: str) -> None:
    flow = Flow("late", max_attempts=1)
    entered, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    @flow.step
    def step(value: int, ctx: Context) -> int:
        done.append(ctx.attempt)
        if ctx.attempt == 1:
            entered.set()
            assert go_on.wait(DEADLINE_SECONDS)
        return ctx.attempt

    async with working(app, flow):
        run = await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the first attempt runs")
        await run.cancel()
        await run.retry()
        go_on.set()
        assert await run.result(DEADLINE_SECONDS) == {"step": 2}
    assert sorted(done) == [1, 2]


async def test_a_failed_map_goes_on_with_the_elements_that_failed(app: PgFlow, url: str) -> None:
    flow = Flow("repaired", max_attempts=2, base_delay=0)
    broken = {3, 5}
    done: list[int] = []

    @flow.map
    async def step(value: int) -> int:
        if value in broken:
            raise ValueError(f"{value} is broken")
        done.append(value)
        return value * 10

    @flow.step
    async def total(step: list[int]) -> int:
        return sum(step)

    async with working(app, flow):
        run = await app.start_flow(flow, list(range(8)))
        with pytest.raises(RunFailed, match="is broken"):
            await run.result(DEADLINE_SECONDS)
        broken.clear()
        await run.retry()
        assert await run.result(DEADLINE_SECONDS) == {"total": 280}
    assert sorted(set(done)) == list(range(8))
    completed_once = [row for row in tasks(url) if row["step_slug"] == "step" and row["attempts_before_retry"] == 0]
    assert completed_once


async def test_a_run_is_paused_and_goes_on_with_another_worker(app: PgFlow, url: str) -> None:
    flow = Flow("paused")
    entered = asyncio.Event()
    release = asyncio.Event()

    @flow.step
    async def first(value: int) -> int:
        return value + 1

    @flow.step
    async def second(first: int) -> int:
        entered.set()
        await release.wait()
        return first * 2

    async with working(app, flow):
        run = await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the second step runs")
        await run.cancel()
    await run.retry()
    release.set()
    async with working(app, flow):
        assert await run.result(DEADLINE_SECONDS) == {"second": 4}


class TestTransactions:
    @pytest.fixture
    def url(self, newest_database_url: str) -> str:
        query(newest_database_url, "create table effects (kind text, number int)")
        return newest_database_url

    @pytest.mark.parametrize("lease_seconds", [0.04, 60.0], ids=["told", "not told in time"])
    async def test_what_was_written_is_not_committed_after_the_cancellation(
        self, app: PgFlow, url: str, monkeypatch: pytest.MonkeyPatch, lease_seconds: float
    ) -> None:
        monkeypatch.setattr(worker_module, "_LEASE_SECONDS", lease_seconds)
        flow = Flow("effects", max_attempts=1)
        written, go_on = threading.Event(), threading.Event()

        @flow.step
        def in_thread(number: int, ctx: Context) -> None:
            with ctx.transaction() as connection:
                connection.execute(INSERT, ("thread", number))
            written.set()
            assert go_on.wait(DEADLINE_SECONDS)

        @flow.step
        async def on_loop(number: int, ctx: Context) -> None:
            async with ctx.transaction() as connection:
                await connection.execute(INSERT, ("loop", number))
            await asyncio.to_thread(go_on.wait, DEADLINE_SECONDS)

        async with working(app, flow):
            run = await app.start_flow(flow, 7)
            await eventually(written.is_set, "the handlers have written")
            await run.cancel()
            go_on.set()
        assert numbers(url) == []
        await run.retry()
        async with working(app, flow):
            assert (await run.wait(DEADLINE_SECONDS)).status == "completed"
        assert numbers(url) == [7, 7]

    async def test_what_was_committed_before_the_cancellation_stays(self, app: PgFlow, url: str) -> None:
        flow = Flow("kept")
        entered = asyncio.Event()

        @flow.step
        async def write(number: int, ctx: Context) -> None:
            async with ctx.transaction() as connection:
                await connection.execute(INSERT, ("loop", number))

        @flow.step(depends_on=[write])
        async def wait(deps: dict[str, Any]) -> None:
            entered.set()
            await asyncio.Event().wait()

        async with working(app, flow):
            run = await app.start_flow(flow, 7)
            await eventually(entered.is_set, "the next step runs")
            await run.cancel()
        assert numbers(url) == [7]
