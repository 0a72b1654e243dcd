"""Whatever a handler raises fails its task, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pgflow import Flow, PgFlow
from worker.running import ended, error_of, task, worked, working


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no message")


class UnprintableExit(SystemExit):
    def __str__(self) -> str:
        raise ValueError("no message")


RAISED: dict[str, tuple[Callable[[], BaseException], str]] = {
    "plain": (lambda: ValueError("no such customer"), "ValueError: no such customer"),
    "without message": (lambda: LookupError(), "LookupError"),
    "NUL": (lambda: ValueError("a\0b"), "ValueError: a\ufffdb"),
    "surrogate": (lambda: ValueError("a\ud800b"), "ValueError: a?b"),
    "long": (lambda: ValueError("x" * 1_000_000), "ValueError: xxx"),
    "unprintable": (lambda: Unprintable(), "Unprintable: its message can't be shown"),
    "SystemExit": (lambda: SystemExit(3), "SystemExit: 3"),
    "unprintable SystemExit": (lambda: UnprintableExit(), "UnprintableExit: its message can't be shown"),
    "KeyboardInterrupt": (lambda: KeyboardInterrupt(), "KeyboardInterrupt"),
    "GeneratorExit": (lambda: GeneratorExit(), "GeneratorExit"),
    "StopIteration": (lambda: StopIteration(1), "StopIteration"),
    "StopAsyncIteration": (lambda: StopAsyncIteration(1), "StopAsyncIteration"),
    "CancelledError": (lambda: asyncio.CancelledError("by myself"), "CancelledError: by myself"),
    "InvalidStateError": (lambda: asyncio.InvalidStateError("odd"), "InvalidStateError: odd"),
    "TimeoutError": (lambda: TimeoutError("of a website"), "TimeoutError: of a website"),
    "group": (lambda: ExceptionGroup("both", [ValueError("a")]), "ExceptionGroup: both (1 sub-exception)"),
    "base group": (lambda: BaseExceptionGroup("all", [SystemExit(1)]), "BaseExceptionGroup: all (1 sub-exception)"),
    "MemoryError": (lambda: MemoryError(), "MemoryError"),
}


@pytest.mark.feature("A4.10")
@pytest.mark.parametrize(("make", "message"), RAISED.values(), ids=RAISED)
async def test_an_exception_fails_the_task_with_its_message(
    app: PgFlow, url: str, make: Callable[[], BaseException], message: str
) -> None:
    flow = Flow("raising", max_attempts=1)

    @flow.map
    def in_thread(bad: bool) -> None:
        if bad:
            raise make()

    other = Flow("raising_async", max_attempts=1)

    @other.map
    async def on_loop(bad: bool) -> None:
        if bad:
            raise make()

    async with working(app, flow, other):
        for raising in (flow, other):
            text = error_of(await ended(app, raising, [True]))
            assert message in text
            assert len(text) <= 10_000
            assert (await ended(app, raising, [False])).status == "completed"


async def test_a_failed_run_names_its_step(app: PgFlow) -> None:
    flow = Flow("raising", max_attempts=1)

    @flow.step
    def website(url: str) -> str:
        raise ConnectionError(f"{url} doesn't answer")

    run = await worked(app, flow, "example.com")
    assert run.step("website").status == "failed"
    assert run.step("website").error_message == "ConnectionError: example.com doesn't answer"


async def test_a_handler_that_cancels_itself_fails(app: PgFlow, url: str) -> None:
    flow = Flow("suicidal", max_attempts=1)

    @flow.step
    async def step(value: int) -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await asyncio.Event().wait()

    run = await worked(app, flow, 1)
    assert error_of(run) == "CancelledError: the handler cancelled itself"
    assert task(url)["status"] == "failed"
