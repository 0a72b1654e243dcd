"""Attempts: the asyncio task of a handler, and what cancels it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from pgflow import Context, Flow, PgFlow, calls
from pgflow.worker.attempt import Attempt
from pgflow.worker.exchange import ExchangeLoop
from worker.executing import executor_of, task_of
from worker.running import DEADLINE_SECONDS, QUICK, eventually


def stubborn(entered: asyncio.Event, ignored: list[int]) -> Flow:
    """A flow whose handler ignores that it is cancelled."""
    flow = Flow("stubborn")

    @flow.step
    async def step(value: int) -> None:
        while True:
            entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ignored.append(value)

    return flow


async def ended(attempt: Attempt) -> bool:
    """Wait for the end of an attempt, and return whether it was cancelled."""
    await asyncio.wait({attempt.running}, timeout=DEADLINE_SECONDS)
    assert attempt.running.done()
    return attempt.running.cancelled()


async def test_a_handler_runs_in_one_task_that_is_named_after_its_step() -> None:
    flow = Flow("named")
    seen: list[asyncio.Task[object] | None] = []

    @flow.step
    async def step(value: int) -> None:
        seen.append(asyncio.current_task())

    executor = executor_of(flow)
    attempt = executor.start(task_of(flow, 1, task_index=3))
    assert not await ended(attempt)
    assert seen == [attempt.running]
    assert attempt.running.get_name() == "handler of named.step[3]"


async def test_handlers_do_not_see_what_others_have_set_in_their_context() -> None:
    flow = Flow("contexts")
    variable: ContextVar[str] = ContextVar("variable", default="nothing")

    @flow.step
    async def step(value: str) -> str:
        before = variable.get()
        variable.set(value)
        await asyncio.sleep(0)
        return f"{before}, {variable.get()}"

    executor = executor_of(flow)
    attempts = [executor.start(task_of(flow, value)) for value in ("a", "b")]
    reports = [await attempt.running for attempt in attempts]
    assert [report.output for report in reports] == [b'"nothing, a"', b'"nothing, b"']
    assert variable.get() == "nothing"


@pytest.mark.parametrize("times", [1, 2])
async def test_a_handler_that_ignores_that_its_attempt_is_cancelled_is_asked_once_and_then_closed(
    monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr("pgflow.worker.attempt.CANCELLATION_SECONDS", 0.02)
    entered, ignored = asyncio.Event(), list[int]()
    flow = stubborn(entered, ignored)
    attempt = executor_of(flow).start(task_of(flow, 1))
    await entered.wait()
    for _ in range(times):
        attempt.cancel()
    assert await ended(attempt)
    assert ignored == [1]


async def test_an_attempt_that_is_cancelled_before_its_handler_runs_never_runs() -> None:
    entered = asyncio.Event()
    flow = stubborn(entered, [])
    attempt = executor_of(flow).start(task_of(flow, 1))
    attempt.cancel()
    assert await ended(attempt)
    assert not entered.is_set()


async def test_what_a_cancelled_handler_returns_or_raises_is_nobodys_business() -> None:
    flow = Flow("answering")

    @flow.step
    async def step(value: str) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if value == "raises":
                raise ValueError(value) from None
        return value

    executor = executor_of(flow)
    for value in ("returns", "raises"):
        attempt = executor.start(task_of(flow, value))
        await asyncio.sleep(0)
        attempt.cancel()
        assert await ended(attempt)


async def test_an_attempt_that_is_cancelled_after_its_end_keeps_its_report() -> None:
    flow = Flow("quick")

    @flow.step
    async def step(value: int) -> int:
        return value

    attempt = executor_of(flow).start(task_of(flow, 1))
    assert not await ended(attempt)
    attempt.cancel()
    assert attempt.running.result().output == b"1"


async def test_who_awaits_the_execution_is_cancelled_when_the_handler_has_ended() -> None:
    flow = Flow("tidy")
    entered, cleaned = asyncio.Event(), asyncio.Event()

    @flow.step
    async def step(value: int) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.set()

    executing = asyncio.create_task(executor_of(flow).execute(task_of(flow, 1)))
    await entered.wait()
    executing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await executing
    assert cleaned.is_set()


async def test_the_deadline_is_when_the_time_of_the_task_is_over() -> None:
    flow = Flow("timed")
    deadlines: list[datetime] = []

    @flow.step
    async def step(value: int, ctx: Context) -> None:
        deadlines.append(ctx.deadline)

    earliest = datetime.now(UTC) + timedelta(seconds=60)
    attempt = executor_of(flow).start(task_of(flow, 1, timeout=60))
    latest = datetime.now(UTC) + timedelta(seconds=60)
    await attempt.running
    slack = timedelta(milliseconds=50)  # the clock of the wall and the one that never goes back
    assert earliest - slack <= deadlines[0] <= latest + slack


async def test_handlers_are_cancelled_with_the_loop_that_waits_for_them(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgflow.worker.attempt.CANCELLATION_SECONDS", 0.02)
    entered, ignored = asyncio.Event(), list[int]()
    flow = stubborn(entered, ignored)
    worker_ids = {flow.slug: uuid4()}
    await app.ensure_compiled(flow)
    await app.database.run(calls.keep_alive({worker_ids[flow.slug]: flow.slug}, "attempts"))
    await app.start_flow(flow, 1)
    loop = ExchangeLoop(app.database, worker_ids, executor_of(flow).start, concurrency=1, poll_interval=QUICK)
    others = asyncio.all_tasks()
    exchanging = asyncio.create_task(loop.run())
    await asyncio.wait_for(entered.wait(), DEADLINE_SECONDS)
    exchanging.cancel()
    await eventually(lambda: asyncio.all_tasks() <= others, "the handler has ended, too")
    assert exchanging.cancelled()
    assert ignored == [1]


async def test_attempts_that_may_take_equally_long_expire_one_after_the_other() -> None:
    flow = Flow("waiting")

    @flow.step
    async def step(value: int) -> None:
        await asyncio.Event().wait()

    executor = executor_of(flow)
    attempts = []
    for number in range(3):
        attempts.append(executor.start(task_of(flow, number, timeout=0.05)))
        await asyncio.sleep(0)
    reports = [await attempt.running for attempt in attempts]
    assert {report.error_message for report in reports} == {"Task timed out after 0.05s"}
    assert all(attempt.is_late for attempt in attempts)


async def test_each_attempt_has_its_own_time() -> None:
    flow = Flow("waiting")
    released = asyncio.Event()

    @flow.step
    async def step(value: int) -> str:
        await released.wait()
        return "done"

    executor = executor_of(flow)
    longer = executor.start(task_of(flow, 1, timeout=60))
    shorter = executor.start(task_of(flow, 2, timeout=0.02))
    assert (await shorter.running).error_message == "Task timed out after 0.02s"
    released.set()
    assert (await longer.running).output == b'"done"'


async def test_quick_attempts_are_forgotten_and_later_ones_still_watched() -> None:
    flow = Flow("mixed")

    @flow.step
    async def step(hang: bool) -> None:
        if hang:
            await asyncio.Event().wait()

    executor = executor_of(flow)
    for _ in range(3):
        quick = [executor.start(task_of(flow, False, timeout=0.05)) for _ in range(100)]
        hanging = executor.start(task_of(flow, True, timeout=0.05))
        assert [(await attempt.running).output for attempt in quick] == [b"null"] * 100
        assert (await hanging.running).error_message == "Task timed out after 0.05s"


@pytest.mark.parametrize("is_late", [True, False])
async def test_a_handler_that_cleans_up_is_not_disturbed_by_another_reason_to_cancel_it(is_late: bool) -> None:
    flow = Flow("tidy")
    entered, cleaning, cleaned, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    @flow.step
    async def step(value: int) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await go_on.wait()
            cleaned.set()

    attempt = executor_of(flow).start(task_of(flow, 1, timeout=0.02 if is_late else 60))
    await entered.wait()
    if not is_late:
        attempt.cancel()
    await cleaning.wait()
    attempt.cancel()
    go_on.set()
    assert await ended(attempt)
    assert cleaned.is_set()


async def test_nothing_is_kept_of_an_attempt_that_has_ended() -> None:
    flow = Flow("forgotten")

    @flow.step
    async def step(value: int, ctx: Context) -> int:
        return value

    executor = executor_of(flow)
    attempt = executor.start(task_of(flow, 1, timeout=3600))
    await attempt.running
    gone = weakref.ref(attempt.running)
    del attempt
    await asyncio.sleep(0)  # what woke this test still holds it
    gc.collect()
    assert gone() is None
