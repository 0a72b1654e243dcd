"""Handlers that don't end in time: how they learn it, and what becomes of those that go on."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from pgflow import Context, Flow
from pgflow.types import TaskReport
from worker.executing import RUN_ID, executor_of, report_of, task_of
from worker.running import DEADLINE_SECONDS, eventually


async def test_a_timeout_says_where_the_handler_was(is_async: bool) -> None:
    flow = Flow("hanging")
    released = threading.Event()

    def in_thread(value: int) -> None:
        released.wait(DEADLINE_SECONDS)

    async def on_loop(value: int) -> None:
        await asyncio.Event().wait()

    flow.step(on_loop if is_async else in_thread, slug="step")
    report = await report_of(flow, 1, timeout=0.05)
    released.set()
    assert report.error_message == "Task timed out after 0.05s"
    assert f"in {'on_loop' if is_async else 'in_thread'}" in (report.traceback or "")


async def test_a_cancelled_thread_learns_that_nobody_waits() -> None:
    flow = Flow("polite")
    seen: list[bool] = []

    @flow.step
    def step(value: int, ctx: Context) -> None:
        seen.append(ctx.cancelled)
        while not ctx.cancelled:
            threading.Event().wait(0.005)
        seen.append(ctx.cancelled)

    executor = executor_of(flow)
    await executor.execute(task_of(flow, 1, timeout=0.05))
    await eventually(lambda: seen == [False, True], "the handler has noticed")
    await eventually(lambda: executor.abandoned_threads == 0, "its thread is free")
    await executor.close()


complaint_of_python = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""About a coroutine that goes on when it is thrown away."""


@pytest.mark.parametrize(
    "ignored",
    [
        asyncio.CancelledError,
        pytest.param(BaseException, marks=complaint_of_python),
    ],
    ids=lambda kind: kind.__name__,
)
async def test_an_async_handler_that_ignores_its_cancellation_is_closed(
    monkeypatch: pytest.MonkeyPatch, ignored: type[BaseException]
) -> None:
    monkeypatch.setattr("pgflow.worker.attempt.CANCELLATION_SECONDS", 0.05)
    flow = Flow("stubborn")
    ignored_count = 0
    closed = asyncio.Event()

    @flow.step
    async def step(value: int) -> None:
        nonlocal ignored_count
        try:
            while True:
                try:
                    await asyncio.Event().wait()
                except ignored:
                    ignored_count += 1
        finally:
            closed.set()

    others = asyncio.all_tasks()
    executor = executor_of(flow)
    report = await executor.execute(task_of(flow, 1, timeout=0.05))
    await executor.close()
    assert report.error_message == "Task timed out after 0.05s"
    assert "It ignored its cancellation and was closed." in (report.traceback or "")
    gc.collect()
    assert asyncio.all_tasks() == others
    assert ignored_count > 0
    assert closed.is_set() == (ignored is asyncio.CancelledError)


async def test_an_async_handler_may_use_cancellation_for_itself() -> None:
    flow = Flow("inner")

    @flow.step
    async def step(value: int) -> list[str]:
        found = []
        for _ in range(2):
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
            except TimeoutError:
                found.append("timeout")
        inner = asyncio.create_task(asyncio.sleep(60))
        inner.cancel()
        [error] = await asyncio.gather(inner, return_exceptions=True)
        return [*found, type(error).__name__]

    assert (await report_of(flow, 1)).output == b'["timeout","timeout","CancelledError"]'


async def test_an_async_handler_may_clean_up_when_it_is_cancelled() -> None:
    flow = Flow("tidy")
    cleaned = asyncio.Event()

    @flow.step
    async def step(value: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.set()

    assert (await report_of(flow, 1, timeout=0.05)).error_message == "Task timed out after 0.05s"
    assert cleaned.is_set()


async def test_too_many_threads_left_behind_keep_others_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    flow = Flow("hanging")
    released = threading.Event()

    @flow.step
    def step(hang: bool) -> str:
        if hang:
            assert released.wait(DEADLINE_SECONDS)
        return "done"

    executor = executor_of(flow, abandoned_limit=2)
    for left in (1, 2):
        await executor.execute(task_of(flow, True, timeout=0.05))
        assert (executor.abandoned_threads, executor.is_healthy) == (left, left < 2)
    for _ in range(3):
        assert await executor.execute(task_of(flow, False)) == TaskReport(RUN_ID, "step", 0, 1, release_delay=10)
    assert caplog.messages == [
        "2 threads don't end although their tasks have; their worker gives all others back; restart it"
    ]
    released.set()
    await eventually(lambda: executor.is_healthy, "the threads have ended")
    assert (await executor.execute(task_of(flow, False))).output == b'"done"'
    await executor.close()
