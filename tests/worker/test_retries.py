"""Attempts, timeouts, and what happens after the last one."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pgflow import Context, Flow, PgFlow
from worker.running import DEADLINE_SECONDS, ended, error_of, query, task, worked, working


async def test_a_task_is_retried_until_it_succeeds(app: PgFlow, url: str) -> None:
    flow = Flow("flaky", max_attempts=5, base_delay=0)

    @flow.step
    def step(value: int, ctx: Context) -> list[int]:
        if ctx.attempt < 3:
            raise RuntimeError("not yet")
        return [ctx.attempt, ctx.max_attempts]

    assert (await worked(app, flow, 1)).output == {"step": [3, 5]}
    assert task(url)["attempts_count"] == 3


@pytest.mark.feature("A4.9")
async def test_attempts_count_from_one_to_the_most_allowed(app: PgFlow) -> None:
    flow = Flow("hopeless", base_delay=0)
    attempts: list[tuple[int, int]] = []

    @flow.step(max_attempts=4)
    async def step(value: int, ctx: Context) -> None:
        attempts.append((ctx.attempt, ctx.max_attempts))
        raise RuntimeError(f"attempt {ctx.attempt}")

    run = await worked(app, flow, 1)
    assert run.status == "failed"
    assert error_of(run) == "RuntimeError: attempt 4"
    assert attempts == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.feature("A4.1")
async def test_only_the_failed_element_of_a_map_is_retried(app: PgFlow, url: str) -> None:
    flow = Flow("elements", base_delay=0)

    @flow.map
    def step(element: int, ctx: Context) -> int:
        if element == 2 and ctx.attempt == 1:
            raise RuntimeError("once")
        return element

    assert (await worked(app, flow, [1, 2, 3])).output == {"step": [1, 2, 3]}
    attempts = query(url, "select attempts_count from pgflow.step_tasks order by task_index")
    assert [row["attempts_count"] for row in attempts] == [1, 2, 1]


@pytest.mark.feature("A4.1")
async def test_a_retry_repeats_no_other_step(app: PgFlow) -> None:
    flow = Flow("costly", base_delay=0)
    calls: list[str] = []

    @flow.step
    def first(value: int) -> int:
        calls.append("first")
        return value

    @flow.step
    def second(first: int, ctx: Context) -> int:
        calls.append("second")
        if ctx.attempt == 1:
            raise RuntimeError("once")
        return first

    assert (await worked(app, flow, 1)).output == {"second": 1}
    assert calls == ["first", "second", "second"]


async def test_a_step_may_be_skipped_when_it_is_exhausted(app: PgFlow) -> None:
    flow = Flow("lenient", max_attempts=2, base_delay=0)

    @flow.step(when_exhausted="skip")
    def optional(value: int) -> str:
        raise RuntimeError("never")

    @flow.step
    def report(optional: str | None = "nothing") -> str:
        return f"got {optional}"

    run = await worked(app, flow, 1)
    assert run.output == {"report": "got nothing"}
    assert (run.step("optional").status, run.step("optional").skip_reason) == ("skipped", "handler_failed")


@pytest.mark.feature("A3.6")
async def test_an_async_handler_that_takes_too_long_is_cancelled(app: PgFlow) -> None:
    flow = Flow("slow", max_attempts=1, timeout=1)
    cancelled: list[bool] = []

    @flow.step
    async def step(value: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    assert error_of(await worked(app, flow, 1)) == "Task timed out after 1s"
    assert cancelled == [True]


async def test_a_thread_that_takes_too_long_is_left_behind(app: PgFlow) -> None:
    flow = Flow("slow", max_attempts=1, timeout=1)
    released = threading.Event()

    @flow.step
    def step(hang: bool) -> str:
        if hang:
            assert released.wait(DEADLINE_SECONDS)
        return "done"

    async with working(app, flow, concurrency=1):
        assert error_of(await ended(app, flow, True)) == "Task timed out after 1s"
        assert (await ended(app, flow, False)).output == {"step": "done"}
    released.set()


async def test_the_late_result_of_an_abandoned_thread_changes_nothing(app: PgFlow, url: str) -> None:
    flow = Flow("slow", max_attempts=2, base_delay=0, timeout=1)
    first_ended = threading.Event()
    second_started = threading.Event()

    @flow.step
    def step(value: int, ctx: Context) -> int:
        if ctx.attempt == 1:
            assert second_started.wait(DEADLINE_SECONDS)
            first_ended.set()
        else:
            second_started.set()
            assert first_ended.wait(DEADLINE_SECONDS)
        return ctx.attempt

    assert (await worked(app, flow, 1)).output == {"step": 2}
    assert task(url)["attempts_count"] == 2


async def test_options_changed_in_the_database_act_without_a_restart(app: PgFlow, url: str) -> None:
    flow = Flow("tuned", max_attempts=1, base_delay=0)

    @flow.step
    def step(value: int, ctx: Context) -> int:
        if ctx.attempt < 2:
            raise RuntimeError("once")
        return ctx.max_attempts

    async with working(app, flow):
        assert (await ended(app, flow, 1)).status == "failed"
        query(url, "update pgflow.flows set opt_max_attempts = 7")
        assert (await ended(app, flow, 1)).output == {"step": 7}


async def test_a_timeout_changed_in_the_database_acts_without_a_restart(app: PgFlow, url: str) -> None:
    flow = Flow("tuned", max_attempts=1, timeout=60)

    @flow.step
    async def step(value: int) -> None:
        await asyncio.Event().wait()

    async with working(app, flow):
        query(url, "update pgflow.steps set opt_timeout = 1")
        assert error_of(await ended(app, flow, 1)) == "Task timed out after 1s"
