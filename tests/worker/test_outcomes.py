"""How what a handler returns or raises becomes what the database is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from pgflow import Flow, NonRetryable, Retry, Snooze, telemetry
from pgflow.types import StartedTask, TaskReport
from worker.executing import RUN_ID, executor_of, raising, report_of, task_of

WORKER_ID = UUID(int=2)


@pytest.mark.feature("A4.8")
async def test_a_return_completes_the_task() -> None:
    flow = Flow("returning")

    @flow.step
    def step(value: int) -> int:
        return value + 1

    assert await report_of(flow, 1) == TaskReport(RUN_ID, "step", 0, 1, output=b"2")


async def test_an_exception_fails_the_attempt(is_async: bool) -> None:
    report = await report_of(raising(lambda: ValueError("odd"), is_async=is_async))
    assert report == TaskReport(RUN_ID, "step", 0, 1, error_message="ValueError: odd")


@pytest.mark.feature("A4.8")
@pytest.mark.parametrize(
    ("after", "seconds"),
    [(30, 30), (0, 0), (0.2, 1), (timedelta(minutes=2), 120), (timedelta(microseconds=1), 1), (2**31 - 1, 2**31 - 1)],
    ids=str,
)
async def test_retry_chooses_when_the_next_attempt_is_due(is_async: bool, after: Any, seconds: int) -> None:
    report = await report_of(raising(lambda: Retry(after=after), is_async=is_async))
    message = f"Retry: asked for, again in {seconds} s"
    assert report == TaskReport(RUN_ID, "step", 0, 1, error_message=message, retry_delay=seconds)


@pytest.mark.feature("A4.8")
async def test_non_retryable_fails_the_task_for_good(is_async: bool) -> None:
    report = await report_of(raising(lambda: NonRetryable("card refused"), is_async=is_async))
    assert report == TaskReport(RUN_ID, "step", 0, 1, error_message="NonRetryable: card refused", final=True)


@pytest.mark.feature("A4.8")
@pytest.mark.parametrize(("seconds", "delay"), [(60, 60), (timedelta(hours=1), 3600), (0.5, 1)], ids=str)
async def test_snooze_puts_the_task_back(is_async: bool, seconds: Any, delay: int) -> None:
    report = await report_of(raising(lambda: Snooze(seconds), is_async=is_async))
    assert report == TaskReport(RUN_ID, "step", 0, 1, release_delay=delay)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Retry(after=-1), "ValueError: Retry(after=…) takes 0 to 2147483647 seconds, not -1"),
        (lambda: Retry(after=float("nan")), "ValueError: Retry(after=…) takes 0 to 2147483647 seconds, not nan"),
        (lambda: Retry(after=float("inf")), "ValueError: Retry(after=…) takes 0 to 2147483647 seconds, not inf"),
        (lambda: Retry(after=2**31), "ValueError: Retry(after=…) takes 0 to 2147483647 seconds, not 2147483648"),
        (lambda: Retry(after="5"), "TypeError: Retry(after=…) takes seconds or a timedelta, not '5'"),  # type: ignore[arg-type]
        (lambda: Retry(after=True), "TypeError: Retry(after=…) takes seconds or a timedelta, not True"),
        (lambda: Snooze(None), "TypeError: Snooze(…) takes seconds or a timedelta, not None"),  # type: ignore[arg-type]
        (
            lambda: Snooze(timedelta(seconds=-1)),
            "ValueError: Snooze(…) takes 0 to 2147483647 seconds, not datetime.timedelta(days=-1, seconds=86399)",
        ),
    ],
    ids=["negative", "NaN", "infinite", "too long", "text", "bool", "None", "negative timedelta"],
)
async def test_a_delay_that_is_none_fails_the_attempt_as_any_mistake(
    make: Callable[[], BaseException], message: str
) -> None:
    assert await report_of(raising(make, is_async=False)) == TaskReport(RUN_ID, "step", 0, 1, error_message=message)


@pytest.mark.parametrize("explicitly", [True, False], ids=["from", "while handling"])
async def test_the_message_names_the_error_behind_the_decision(explicitly: bool) -> None:
    flow = Flow("reasons")

    @flow.step
    def step(value: int) -> None:
        try:
            raise ConnectionError("gone\0")
        except ConnectionError as error:
            if explicitly:
                raise NonRetryable("no use") from error
            raise Retry(after=5, message="server is busy")  # noqa: B904 - that is what is tested

    expected = "NonRetryable: no use" if explicitly else "Retry: server is busy, again in 5 s"
    assert (await report_of(flow, 1)).error_message == f"{expected} (ConnectionError: gone\ufffd)"


async def test_a_decision_without_a_reason_has_none() -> None:
    def hiding() -> BaseException:
        error = NonRetryable("secret")
        error.__suppress_context__ = True
        error.__context__ = ValueError("password")
        return error

    assert (await report_of(raising(hiding, is_async=False))).error_message == "NonRetryable: secret"


async def test_failures_wait_as_long_as_the_flow_says() -> None:
    flow = raising(lambda: ValueError("odd"), is_async=True, base_delay=10, max_delay=15)
    assert (await report_of(flow)).retry_delay == 15
    assert (await report_of(flow, attempt=1, max_attempts=1)).retry_delay == 15


async def test_the_longest_delay_holds_for_a_base_that_was_changed_in_the_database() -> None:
    flow = raising(lambda: ValueError("odd"), is_async=True, base_delay=1, max_delay=15)
    assert (await report_of(flow, base_delay=5)).retry_delay == 10


async def test_a_chosen_delay_goes_before_that_of_the_flow() -> None:
    assert (await report_of(raising(lambda: Retry(after=99), is_async=True, max_delay=15))).retry_delay == 99
    assert (await report_of(raising(lambda: NonRetryable("no"), is_async=True, max_delay=15))).retry_delay is None


async def test_a_step_that_this_worker_does_not_know_is_left_to_a_later_attempt() -> None:
    flow = raising(lambda: ValueError("odd"), is_async=True, max_delay=5)
    report = await report_of(flow, steps=["newer"])
    assert (report.error_message, report.final) == ("StepNotFound: no step 'newer'; steps: step", False)


@pytest.mark.parametrize("task_input", [None, [], "text", 3], ids=repr)
async def test_an_input_that_was_changed_by_hand_fails_its_task(task_input: Any) -> None:
    flow = Flow("changed")
    flow.step(lambda value: value, slug="first")

    @flow.step
    def second(first: int) -> int:
        return first

    executor = executor_of(flow)
    task = StartedTask("changed", RUN_ID, "second", 0, task_input, None, 1, 1, 3, 60)
    assert (await executor.execute(task)).error_message is not None
    await executor.close()


async def test_a_task_waits_when_its_input_cannot_be_read_for_now() -> None:
    flow = Flow("waiting")
    flow.map(lambda element: element, slug="first")

    @flow.map(over="first")
    def second(element: int, flow_input: int) -> int:
        return element

    executor = executor_of(flow)
    task = StartedTask("waiting", RUN_ID, "second", 0, 1, None, 1, 1, 3, 60)
    assert await executor.execute(task) == TaskReport(RUN_ID, "second", 0, 1, release_delay=10)
    await executor.close()


# Tracebacks


def fail_deep_inside() -> None:
    raise ValueError("odd\0")


async def test_the_traceback_starts_at_the_handler(is_async: bool) -> None:
    flow = Flow("tracing")

    def in_thread(value: int) -> None:
        fail_deep_inside()

    async def on_loop(value: int) -> None:
        fail_deep_inside()

    flow.step(on_loop if is_async else in_thread, slug="step")
    traceback = (await report_of(flow, 1)).traceback
    assert traceback is not None
    lines = traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert f"in {'on_loop' if is_async else 'in_thread'}" in lines[1]
    assert lines[-1] == "ValueError: odd\ufffd"
    assert "fail_deep_inside" in traceback


async def test_an_endless_recursion_leaves_a_traceback_of_bounded_size(is_async: bool) -> None:
    def endless(depth: int) -> BaseException:
        return endless(depth + 1) if depth % 2 else endless(depth + 3)

    report = await report_of(raising(lambda: endless(0), is_async=is_async))
    assert "RecursionError: maximum recursion depth exceeded" in (report.error_message or "")
    assert 0 < len(report.traceback or "") <= 20_000


async def test_a_refused_value_has_no_traceback() -> None:
    flow = Flow("refused")

    @flow.step
    def step(value: int) -> int:
        return value

    report = await report_of(flow, "text")
    assert report.traceback is None
    assert report.error_message is not None


# Telemetry


async def test_the_start_of_an_attempt_is_told() -> None:
    flow = Flow("telling")
    flow.step(lambda value: value, slug="step")
    told: list[tuple[str, dict[str, Any]]] = []
    telemetry.attach("test", "task.start", lambda event, numbers, metadata: told.append((event, dict(metadata))))
    executor = executor_of(flow, worker_ids={"telling": WORKER_ID})
    try:
        await executor.execute(task_of(flow, 1))
    finally:
        telemetry.detach("test")
        await executor.close()
    assert told == [
        (
            "task.start",
            {
                "flow_slug": "telling",
                "run_id": RUN_ID,
                "step_slug": "step",
                "task_index": 0,
                "attempt": 1,
                "max_attempts": 3,
                "worker_id": WORKER_ID,
            },
        )
    ]
