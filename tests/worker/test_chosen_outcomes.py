"""What the database makes of retries at a chosen time, of giving up, and of putting back."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import timedelta
from typing import Any

import pytest

from pgflow import Context, Flow, NonRetryable, PgFlow, Retry, Snooze
from worker.running import DEADLINE_SECONDS, ended, error_of, eventually, query, task, worked, working

SECONDS_LEFT = "select extract(epoch from vt - clock_timestamp())::float as seconds from pgmq.q_{}"


def seconds_left(url: str, flow_slug: str) -> float:
    """For how long the only message of a queue stays invisible."""
    (row,) = query(url, SECONDS_LEFT.format(flow_slug))
    return float(row["seconds"])


async def test_a_task_may_be_put_back_more_often_than_it_has_attempts(app: PgFlow, url: str) -> None:
    flow = Flow("snoozing", max_attempts=1)
    attempts: list[int] = []

    @flow.step
    async def step(value: int, ctx: Context) -> int:
        attempts.append(ctx.attempt)
        if len(attempts) < 6:
            raise Snooze(0)
        return value

    assert (await worked(app, flow, 7)).output == {"step": 7}
    assert attempts == [1] * 6
    assert task(url)["attempts_count"] == 1


@pytest.mark.feature("A4.8")
async def test_a_task_that_was_put_back_comes_when_it_said(app: PgFlow, url: str) -> None:
    flow = Flow("snoozing", max_attempts=1)

    @flow.step
    def step(value: int) -> None:
        raise Snooze(timedelta(hours=1))

    async with working(app, flow):
        await app.start_flow(flow, 1)
        await eventually(lambda: seconds_left(url, "snoozing") > 3000, "the message is invisible for an hour")
    assert seconds_left(url, "snoozing") <= 3600
    row = task(url)
    assert (row["status"], row["attempts_count"], row["error_message"]) == ("queued", 0, None)


@pytest.mark.feature("A4.8")
async def test_a_retry_comes_when_the_handler_said(app: PgFlow, url: str) -> None:
    flow = Flow("retrying", max_attempts=2)

    @flow.step
    def step(value: int) -> None:
        raise Retry(after=1000)

    async with working(app, flow):
        await app.start_flow(flow, 1)
        await eventually(lambda: seconds_left(url, "retrying") > 900, "the message is invisible")
    assert seconds_left(url, "retrying") <= 1000
    row = task(url)
    expected = ("queued", 1, "Retry: asked for, again in 1000 s")
    assert (row["status"], row["attempts_count"], row["error_message"]) == expected


async def test_a_retry_on_the_last_attempt_fails_the_task(app: PgFlow, url: str) -> None:
    flow = Flow("retrying", max_attempts=3)

    @flow.step
    def step(value: int) -> None:
        raise Retry(after=0, message="busy")

    assert error_of(await worked(app, flow, 1)) == "Retry: busy, again in 0 s"
    assert task(url)["attempts_count"] == 3


@pytest.mark.feature("A4.8")
async def test_giving_up_leaves_attempts_unused(app: PgFlow, url: str) -> None:
    flow = Flow("final", max_attempts=9)

    @flow.step
    def step(value: int) -> None:
        raise NonRetryable("card refused")

    assert error_of(await worked(app, flow, 1)) == "NonRetryable: card refused"
    assert (task(url)["status"], task(url)["attempts_count"]) == ("failed", 1)


async def test_giving_up_follows_what_the_step_says_about_exhaustion(app: PgFlow) -> None:
    flow = Flow("lenient", max_attempts=9)

    @flow.step(when_exhausted="skip")
    def optional(value: int) -> None:
        raise NonRetryable("no use")

    @flow.step
    def report(optional: Any = "nothing") -> Any:
        return optional

    assert (await worked(app, flow, 1)).output == {"report": "nothing"}


async def test_the_longest_delay_of_a_flow_holds_in_the_database(app: PgFlow, url: str) -> None:
    flow = Flow("bounded", max_attempts=2, base_delay=1000, max_delay=500)

    @flow.step
    def step(value: int) -> None:
        raise ValueError("odd")

    async with working(app, flow):
        await app.start_flow(flow, 1)
        await eventually(lambda: seconds_left(url, "bounded") > 400, "the message is invisible")
    assert seconds_left(url, "bounded") <= 500


# Handlers that hurt


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # that is what is tested
async def test_a_process_that_a_handler_forks_and_lets_return_is_no_second_worker(app: PgFlow, url: str) -> None:
    flow = Flow("forking")
    children: list[int] = []

    @flow.map
    def in_thread(number: int) -> int:
        if child := os.fork():
            children.append(child)
        return number

    @flow.map
    async def on_loop(number: int) -> int:
        if child := os.fork():
            children.append(child)
        return number

    async with working(app, flow):
        run = await ended(app, flow, [1, 2, 3])
        assert run.output == {"in_thread": [1, 2, 3], "on_loop": [1, 2, 3]}
        exits = [await asyncio.to_thread(os.waitpid, child, 0) for child in children]
    assert [status for _, status in exits] == [0] * 6
    assert query(url, "select distinct attempts_count from pgflow.step_tasks") == [{"attempts_count": 1}]


async def test_a_handler_that_ignores_its_cancellation_holds_up_nobody(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgflow.worker.attempt.CANCELLATION_SECONDS", 0.05)
    flow = Flow("stubborn", max_attempts=1, timeout=1)
    released = asyncio.Event()

    @flow.step
    async def step(hang: bool) -> str:
        while hang and not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        return "done"

    async with working(app, flow, concurrency=1):
        assert error_of(await ended(app, flow, True)) == "Task timed out after 1s"
        assert (await ended(app, flow, False)).output == {"step": "done"}
        released.set()


def test_a_handler_that_ignores_its_cancellation_keeps_no_program_from_ending(url: str) -> None:
    flow = Flow("stubborn")

    async def main() -> None:
        entered = asyncio.Event()

        @flow.step
        async def step(value: int) -> None:
            while True:
                entered.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    continue

        async with PgFlow(url) as app, working(app, flow, stop_within=0.05):
            await app.start_flow(flow, 1)
            await entered.wait()

    asyncio.run(main())
    assert (task(url)["status"], task(url)["attempts_count"]) == ("queued", 0)


async def test_handlers_that_never_end_are_bounded_and_make_the_worker_unhealthy(app: PgFlow, url: str) -> None:
    flow = Flow("hanging", max_attempts=1, timeout=1)
    released = threading.Event()

    @flow.map(when_exhausted="skip")
    def hang(element: int) -> None:
        assert released.wait(DEADLINE_SECONDS)

    quick = Flow("quick")
    quick.step(lambda value: value, slug="step")
    async with working(app, flow, quick, concurrency=10) as worker:
        await ended(app, flow, list(range(10)))
        assert worker.health().problems()
        run = await app.start_flow(quick, 1)
        await eventually(lambda: seconds_left(url, "quick") > 5, "its task is left to others")
        released.set()
        await eventually(lambda: not worker.health().problems(), "the threads have ended")
        query(url, "update pgmq.q_quick set vt = clock_timestamp()")
        assert await run.result(DEADLINE_SECONDS) == {"step": 1}


# Poison


async def test_a_step_that_only_newer_workers_know_is_left_to_them(app: PgFlow, url: str) -> None:
    flow = Flow("versions", max_attempts=2, base_delay=0)
    flow.step(lambda value: value, slug="step")
    async with working(app, flow):
        query(url, "select pgflow.add_step('versions', 'newer', '{}', max_attempts => 3, base_delay => 0)")
        run = await app.start_flow(flow, 1)
        await eventually(lambda: run_status(url) == "failed", "nobody knew it")
    refused, known = query(url, "select * from pgflow.step_tasks order by step_slug")
    assert (refused["attempts_count"], refused["error_message"]) == (3, "StepNotFound: no step 'newer'; steps: step")
    assert known["status"] == "completed"
    assert run is not None


def run_status(url: str) -> str:
    (row,) = query(url, "select status from pgflow.runs")
    return str(row["status"])


@pytest.mark.parametrize("message", ["null", "[]", '"text"', '{"run_id": 5}'], ids=repr)
async def test_a_message_that_was_edited_by_hand_stops_nobody(app: PgFlow, url: str, message: str) -> None:
    flow = Flow("edited")
    flow.map(lambda element: element, slug="step")
    async with working(app, flow):
        await ended(app, flow, [1])  # the flow is there
        query(url, "select pgmq.send('edited', %s::jsonb)", message)
        run = await app.start_flow(flow, [1, 2, 3])
        query(url, "update pgmq.q_edited set message = %s::jsonb", message)
        assert (await run.wait(DEADLINE_SECONDS)).output == {"step": [1, 2, 3]}
        await eventually(lambda: query(url, "select * from pgmq.q_edited") == [], "nothing is left in the queue")


async def test_an_output_that_was_edited_by_hand_fails_the_task_that_takes_it(app: PgFlow, url: str) -> None:
    flow = Flow("edited", max_attempts=1)

    @flow.step
    async def first(value: int) -> int:
        return value

    @flow.step(start_delay=1)
    def second(first: int) -> int:
        return first

    async with working(app, flow):
        run = await app.start_flow(flow, 1)
        await eventually(lambda: task_count(url, "completed") == 1, "the first step is complete")
        query(url, "update pgflow.step_states set output = '\"text\"' where step_slug = 'first'")
        query(url, "update pgflow.step_tasks set output = '\"text\"' where step_slug = 'first'")
        assert "first: Input should be a valid integer" in error_of(await run.wait(DEADLINE_SECONDS))


def task_count(url: str, status: str) -> int:
    return len(query(url, "select * from pgflow.step_tasks where status = %s", status))
