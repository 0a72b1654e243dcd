"""A task that was taken away loses its handler; one that is held keeps its message away."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from pgflow import Context, Flow, PgFlow
from pgflow.worker import worker as worker_module
from worker.running import DEADLINE_SECONDS, eventually, query, task, working


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LEASE_SECONDS", 0.02)


class Endless:
    """A flow with a handler that waits until it is cancelled, and a sibling that fails when it is told to."""

    def __init__(self) -> None:
        self.flow = Flow("endless", max_attempts=1)
        self.entered, self.cancelled, self.released = asyncio.Event(), asyncio.Event(), threading.Event()

        @self.flow.step
        async def endless(value: int) -> None:
            self.entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()

        @self.flow.step
        def failing(value: int) -> None:
            assert self.released.wait(DEADLINE_SECONDS)
            raise ValueError("no")


async def test_a_handler_is_cancelled_when_its_run_has_failed(app: PgFlow, url: str) -> None:
    endless = Endless()
    async with working(app, endless.flow):
        run = await app.start_flow(endless.flow, 1)
        await eventually(endless.entered.is_set, "the handler runs")
        endless.released.set()
        await eventually(endless.cancelled.is_set, "it is cancelled")
        assert (await run.wait(DEADLINE_SECONDS)).status == "failed"
    (left,) = query(url, "select status, error_message from pgflow.step_tasks where step_slug = 'endless'")
    assert left["error_message"] is None, "a task that was taken away isn't reported"


async def test_a_thread_sees_that_its_task_was_taken_away(app: PgFlow, url: str) -> None:
    flow = Flow("thread", max_attempts=1)
    entered, seen = threading.Event(), threading.Event()

    @flow.step
    def step(value: int, ctx: Context) -> None:
        entered.set()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not ctx.cancelled:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        seen.set()

    async with working(app, flow):
        await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        query(url, "update pgflow.runs set status = 'failed', failed_at = now()")
        await eventually(seen.is_set, "it sees that nobody wants its outcome")
    assert task(url)["error_message"] is None


async def test_a_handler_is_cancelled_when_its_task_was_given_to_another_worker(app: PgFlow, url: str) -> None:
    flow = Flow("stolen")
    attempts: list[int] = []
    cancelled, again = asyncio.Event(), asyncio.Event()

    @flow.step
    async def step(value: int) -> str:
        attempts.append(value)
        if len(attempts) > 1:
            again.set()
            return "second"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "first"

    async with working(app, flow):
        run = await app.start_flow(flow, 1)
        await eventually(lambda: attempts, "the handler runs")
        query(
            url, "update pgflow.step_tasks set queued_at = now() - interval '1 h', started_at = now() - interval '1 h'"
        )
        query(url, "select pgflow.requeue_stalled_tasks()")
        await eventually(cancelled.is_set, "the first attempt is cancelled")
        await eventually(again.is_set, "the second attempt runs")
        assert await run.result(DEADLINE_SECONDS) == {"step": "second"}
    assert (task(url)["attempts_count"], task(url)["error_message"]) == (2, None)


async def test_a_handler_that_is_held_goes_on(app: PgFlow, url: str) -> None:
    flow = Flow("held")
    entered, released = asyncio.Event(), asyncio.Event()

    @flow.step
    async def step(value: int) -> str:
        entered.set()
        await released.wait()
        return "done"

    async with working(app, flow) as worker:
        run = await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        query(
            url,
            "update pgflow.step_tasks set queued_at = now() - '1 min'::interval, started_at = now() - '1 m'::interval",
        )
        query(url, "select pgmq.set_vt('held', %s::bigint, 1)", task(url)["message_id"])
        await eventually(lambda: seconds_away(url) > 10, "its message is kept away")
        released.set()
        assert await run.result(DEADLINE_SECONDS) == {"step": "done"}
        assert worker.state == "running"


def seconds_away(url: str) -> float:
    return float(query(url, "select extract(epoch from vt - clock_timestamp()) as s from pgmq.q_held")[0]["s"])
