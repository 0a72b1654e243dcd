"""Inputs and outputs of a megabyte and more: how much of them a worker holds."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import pytest

from pgflow import Context, Flow, PgFlow, telemetry
from pgflow.calls import Call, Exchanged
from pgflow.types import StartedTask, TaskReport
from pgflow.worker.news import News
from pgflow.worker.outbox import LARGEST_BATCH_BYTES
from pgflow.worker.pace import Pace
from worker.running import eventually, query, working

T = TypeVar("T")

MEGABYTE = "x" * 1024 * 1024
LARGE = "x" * 256 * 1024
CONCURRENCY = 10
RESERVE = 4


@dataclass
class Exchanges:
    """Stands between an application and its database, and counts what goes through."""

    run_now: Callable[..., Any]
    handed_over: int = 0
    most_at_the_worker: int = 0
    answers: list[dict[str, int]] = field(default_factory=list)
    """How many tasks of each flow came."""
    report_bytes: list[int] = field(default_factory=list)

    async def run(self, call: Call[T], conn: object | None = None) -> T:
        answer: T = await self.run_now(call, conn)
        if isinstance(answer, Exchanged):
            outputs: Sequence[str | None] = call.arguments[4]
            self.handed_over += answer.count - len(outputs)
            self.most_at_the_worker = max(self.most_at_the_worker, self.handed_over)
            self.report_bytes.append(sum(len(output or "") for output in outputs))
            slugs = [task.flow_slug for task in answer.tasks]
            self.answers.append({slug: slugs.count(slug) for slug in set(slugs)})
        return answer


@pytest.fixture
def exchanges(app: PgFlow, monkeypatch: pytest.MonkeyPatch) -> Exchanges:
    exchanges = Exchanges(app.database.run)
    monkeypatch.setattr(app.database, "run", exchanges.run)
    return exchanges


@pytest.fixture
def hungry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers hold as many tasks as they may as soon as they know how quick handlers are, however quick that is."""

    def capacity(pace: Pace) -> int:
        return pace.concurrency + (0 if pace._handler_seconds is None else Pace.LARGEST_RESERVE)

    monkeypatch.setattr(Pace, "capacity", property(capacity))


def quick(slug: str) -> Flow:
    flow = Flow(slug)

    @flow.step
    async def step(value: object) -> int:
        return 1

    return flow


async def start(app: PgFlow, flow: Flow, value: object, count: int) -> None:
    await app.ensure_compiled(flow)
    for _ in range(count // 20):
        await app.start_flows(flow, [value] * 20)


def unfinished(url: str) -> int:
    [row] = query(url, "select count(*) from pgflow.runs where status = 'started'")
    return int(row["count"])


@pytest.mark.slow
@pytest.mark.usefixtures("hungry")
async def test_large_inputs_do_not_pile_up_beyond_the_tasks_in_flight(
    app: PgFlow, url: str, exchanges: Exchanges
) -> None:
    flow = quick("huge")
    await start(app, flow, MEGABYTE, 60)
    async with working(app, flow, concurrency=CONCURRENCY):
        await eventually(lambda: not unfinished(url), "all runs have ended")
    assert sum(answer.get("huge", 0) for answer in exchanges.answers) == 60
    assert max(answer.get("huge", 0) for answer in exchanges.answers) <= CONCURRENCY + RESERVE
    ended_meanwhile = CONCURRENCY + RESERVE  # their inputs are gone, their reports go with the next exchange
    assert exchanges.most_at_the_worker <= CONCURRENCY + RESERVE + ended_meanwhile


@pytest.mark.slow
@pytest.mark.usefixtures("hungry")
async def test_flows_of_large_and_of_small_inputs_share_a_worker(app: PgFlow, url: str, exchanges: Exchanges) -> None:
    huge, tiny = quick("huge"), quick("tiny")
    await start(app, huge, MEGABYTE, 80)
    await start(app, tiny, 1, 4_000)
    async with working(app, huge, tiny, concurrency=CONCURRENCY):
        await eventually(lambda: not unfinished(url), "all runs have ended")
    assert max(answer.get("huge", 0) for answer in exchanges.answers) <= CONCURRENCY + RESERVE
    assert max(answer.get("tiny", 0) for answer in exchanges.answers) > 10 * (CONCURRENCY + RESERVE)
    [ends] = query(
        url,
        "select array_agg(distinct first.flow_slug) as flows from pgflow.step_tasks as first, pgflow.step_tasks as last"
        " where first.flow_slug <> last.flow_slug and first.completed_at < last.completed_at",
    )
    assert ends["flows"] == ["huge", "tiny"], "one flow waited until the other had ended"


@pytest.mark.slow
@pytest.mark.usefixtures("hungry")
async def test_large_outputs_are_reported_in_batches_that_fit_into_a_statement(
    app: PgFlow, url: str, exchanges: Exchanges
) -> None:
    flow = Flow("grows")

    @flow.step
    async def step(value: int) -> str:
        return MEGABYTE * 3

    await start(app, flow, 1, 20)
    async with working(app, flow, concurrency=20):
        await eventually(lambda: not unfinished(url), "all runs have ended")
    assert sum(exchanges.report_bytes) >= 20 * 3 * len(MEGABYTE)
    assert max(exchanges.report_bytes) <= LARGEST_BATCH_BYTES
    assert max(answer.get("grows", 0) for answer in exchanges.answers) <= 20 + 1
    found = query(url, "select status, octet_length(output::text) as size, attempts_count from pgflow.step_tasks")
    assert found == [{"status": "completed", "size": 3 * len(MEGABYTE) + 2, "attempts_count": 1}] * 20


def returning(flow: Flow) -> None:
    @flow.step
    async def step(value: str) -> int:
        return len(value)


def in_a_thread_with_a_context(flow: Flow) -> None:
    @flow.step
    def step(value: str, ctx: Context) -> int:
        return len(value)


def raising(flow: Flow) -> None:
    @flow.step
    async def step(value: str, ctx: Context) -> int:
        raise ValueError(f"of {len(value)} characters")


def raising_in_a_thread(flow: Flow) -> None:
    @flow.step
    def step(value: str) -> int:
        raise ValueError(f"of {len(value)} characters")


def taking_too_long(flow: Flow) -> None:
    @flow.step(timeout=1)
    async def step(value: str) -> int:
        await asyncio.Event().wait()
        return 0


@pytest.mark.parametrize(
    "define", [returning, in_a_thread_with_a_context, raising, raising_in_a_thread, taking_too_long]
)
async def test_an_attempt_that_has_ended_does_not_keep_its_input(
    app: PgFlow, url: str, define: Callable[[Flow], None]
) -> None:
    flow = Flow("kept", max_attempts=1)
    define(flow)
    telemetry.attach("listens", telemetry.ALL, lambda *_: None)
    try:
        async with working(app, flow):
            await start(app, flow, "short", 20)
            await eventually(lambda: not unfinished(url), "all runs have ended")
            with tracing() as traced:
                await start(app, flow, LARGE, 20)
                await eventually(lambda: not unfinished(url), "all runs have ended")
                await eventually(lambda: traced() < 3 * len(LARGE), "the inputs are gone")
    finally:
        telemetry.detach("listens")


@contextmanager
def tracing() -> Iterator[Callable[[], int]]:
    """Give what tells how many bytes are held that weren't at the beginning; no cycles are collected meanwhile."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()


def test_what_is_kept_for_telemetry_until_a_report_is_answered_has_no_input() -> None:
    class Large(dict[str, object]):
        """A value that can be watched."""

    run_id, value = UUID(int=1), Large()
    news = News({"flow": UUID(int=2)})
    report = TaskReport(run_id, "step", 0, 1, output=b"1")
    telemetry.attach("listens", telemetry.ALL, lambda *_: None)
    try:
        news.ended(StartedTask("flow", run_id, "step", 0, value, value, 1, 1, 3, 60), report, 1.0)
        watched = weakref.ref(value)
        del value
        assert watched() is None
    finally:
        telemetry.detach("listens")
