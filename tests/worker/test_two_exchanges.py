"""A second exchange beside the first: when there is one, what it may take, and what happens when answers are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from pgflow import Flow, PgFlow, WorkerState
from pgflow.calls import Call, Exchanged
from pgflow.errors import ConnectionLost
from pgflow.worker import exchange
from pgflow.worker.pace import Pace
from pgflow.worker.worker import Worker
from worker.running import DEADLINE_SECONDS, QUICK, eventually, query, tasks, working

_PLENTY = exchange._WORTH_A_SECOND_EXCHANGE


class Gate:
    """A flow whose tasks end when they are let through, each by the number it was started with."""

    def __init__(self, slug: str) -> None:
        self.flow = Flow(slug)
        self.begun = 0
        self._gates: dict[int, asyncio.Event] = {}
        self.flow.step(self.passing)

    async def passing(self, value: int) -> int:
        self.begun += 1
        await self._gate(value).wait()
        return value

    def let(self, *values: int) -> None:
        for value in values:
            self._gate(value).set()

    def _gate(self, value: int) -> asyncio.Event:
        return self._gates.setdefault(value, asyncio.Event())


@pytest.fixture
def session(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url) as session:
        yield session


def hold(session: psycopg.Connection[Any], run_id: UUID) -> None:
    """Lock a run, so that an exchange that reports one of its tasks stays under way."""
    session.execute("select from pgflow.runs where run_id = %s for update", [run_id])


def waiting(url: str) -> list[int]:
    """Backends that wait for a lock of somebody else."""
    statement = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return [row["pid"] for row in query(url, statement)]


def completed(url: str) -> int:
    return sum(row["status"] == "completed" for row in tasks(url))


async def started(app: PgFlow, gate: Gate, count: int) -> list[UUID]:
    """Start runs, and return their ids when all of their handlers have begun."""
    runs = await app.start_flows(gate.flow, list(range(count)))
    await eventually(lambda: gate.begun == count, "all handlers run")
    return [run.run_id for run in runs]


async def send_both(gate: Gate, count: int, url: str) -> None:
    """End the first task and then the others, whose exchanges meet two runs that are held."""
    gate.let(0)
    await eventually(lambda: len(waiting(url)) == 1, "the first exchange is under way")
    gate.let(*range(1, count))
    await eventually(lambda: len(waiting(url)) == 2, "the second exchange is under way")


async def test_many_reports_dont_wait_for_an_exchange_that_takes_long(
    app: PgFlow, url: str, session: psycopg.Connection[Any]
) -> None:
    gate = Gate("beside")
    async with working(app, gate.flow, concurrency=_PLENTY + 1):
        run_ids = await started(app, gate, _PLENTY + 1)
        hold(session, run_ids[0])
        gate.let(0)
        await eventually(lambda: waiting(url), "the first exchange is under way")
        gate.let(*range(1, _PLENTY + 1))
        await eventually(lambda: completed(url) == _PLENTY, "the others are reported beside it")
        assert len(waiting(url)) == 1
        session.rollback()
        await eventually(lambda: completed(url) == _PLENTY + 1, "the first is reported, too")


async def test_few_reports_wait_for_the_exchange_that_is_under_way(
    app: PgFlow, url: str, session: psycopg.Connection[Any]
) -> None:
    gate = Gate("together")
    async with working(app, gate.flow, concurrency=_PLENTY) as worker:
        run_ids = await started(app, gate, _PLENTY)
        hold(session, run_ids[0])
        gate.let(0)
        await eventually(lambda: waiting(url), "the exchange is under way")
        gate.let(*range(1, _PLENTY))
        outbox = worker._exchange._outbox
        await eventually(lambda: outbox.waiting == _PLENTY - 1, "the others have ended")
        assert (completed(url), worker._exchange._second) == (0, None)
        session.rollback()
        await eventually(lambda: completed(url) == _PLENTY, "they are reported with the next exchange")


async def test_no_more_than_two_exchanges_are_under_way(
    app: PgFlow, url: str, session: psycopg.Connection[Any]
) -> None:
    gate, count = Gate("two"), 3 * _PLENTY
    async with working(app, gate.flow, concurrency=count) as worker:
        run_ids = await started(app, gate, count)
        for run_id in run_ids[:2]:
            hold(session, run_id)
        gate.let(0)
        await eventually(lambda: len(waiting(url)) == 1, "the first exchange is under way")
        gate.let(*range(1, _PLENTY + 1))
        await eventually(lambda: len(waiting(url)) == 2, "the second exchange is under way")
        gate.let(*range(_PLENTY + 1, count))
        await eventually(lambda: worker._exchange._outbox.waiting == 2 * _PLENTY - 1, "the others have ended")
        assert (len(waiting(url)), completed(url)) == (2, 0)
        session.rollback()
        await eventually(lambda: completed(url) == count, "all are reported")


async def test_both_together_hold_no_more_tasks_than_one(
    app: PgFlow, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, held = Flow("bounded"), list[tuple[int, int]]()

    @flow.step
    async def step(value: int) -> int:
        return value

    await app.ensure_compiled(flow)
    await app.start_flows(flow, list(range(3000)))
    trade = exchange.ExchangeLoop._trade

    async def watched(loop: exchange.ExchangeLoop, *arguments: Any) -> Any:
        held.append((loop._held + loop._asked, loop._underway))
        return await trade(loop, *arguments)

    monkeypatch.setattr(exchange.ExchangeLoop, "_trade", watched)
    async with working(app, flow, concurrency=200):
        await eventually(lambda: completed(url) == 3000, "all have ended")
    assert max(underway for _, underway in held) == 2
    assert max(count for count, _ in held) <= 200 + Pace.LARGEST_RESERVE


async def test_what_the_second_has_been_handed_stays_its_own_when_the_answer_to_the_first_is_lost(
    app: PgFlow, url: str, session: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, count = Gate("lost"), _PLENTY + 1
    run_now, answers = app.database.run, list[Exchanged]()
    looks = list[int]()

    async def run(call: Call[Any], conn: object | None = None) -> Any:
        if "release_lost_tasks" in call.sql:
            looks.append(len(waiting(url)))
        answer = await run_now(call, conn)
        if isinstance(answer, Exchanged) and answer.recorded == [0]:
            answers.append(answer)
            if len(answers) == 1:
                raise ConnectionLost("the answer is lost")
        return answer

    async with working(app, gate.flow, concurrency=count) as worker:
        run_ids = await started(app, gate, count)
        more = await app.start_flows(gate.flow, list(range(count, 2 * count)))
        monkeypatch.setattr(app.database, "run", run)
        other = psycopg.connect(url)
        hold(session, run_ids[0])
        hold(other, run_ids[1])
        await send_both(gate, count, url)
        session.rollback()
        await eventually(lambda: answers, "the answer to the first is lost")
        await eventually(lambda: worker._exchange._look_for_lost, "it will be looked for")
        assert not looks
        other.rollback()
        other.close()
        await eventually(lambda: looks, "it is looked for when the second is back")
        await eventually(lambda: gate.begun >= 2 * count, "all handlers run")
        gate.let(*range(count, 2 * count))
        for started_run in more:
            await started_run.wait(DEADLINE_SECONDS)
    assert looks[0] == 0
    assert gate.begun == 2 * count
    assert {(row["status"], row["attempts_count"]) for row in tasks(url)} == {("completed", 1)}


async def test_when_both_connections_break_everything_is_reported_once(
    app: PgFlow, url: str, session: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_FIRST_BACKOFF", 0.01)
    gate, count = Gate("broken"), _PLENTY + 1
    async with working(app, gate.flow, concurrency=count):
        run_ids = await started(app, gate, count)
        for run_id in run_ids[:2]:
            hold(session, run_id)
        await send_both(gate, count, url)
        for pid in waiting(url):
            query(url, "select pg_terminate_backend(%s)", pid)
        session.rollback()
        await eventually(lambda: completed(url) == count, "all are reported")
    assert gate.begun == count
    assert {row["attempts_count"] for row in tasks(url)} == {1}


async def test_a_worker_that_stops_waits_for_the_second_exchange(
    app: PgFlow, url: str, session: psycopg.Connection[Any]
) -> None:
    gate, count = Gate("stopping"), _PLENTY + 1
    async with working(app, gate.flow, concurrency=count) as worker:
        run_ids = await started(app, gate, count)
        other = psycopg.connect(url)
        hold(session, run_ids[0])
        hold(other, run_ids[1])
        await send_both(gate, count, url)
        session.rollback()
        stopping = asyncio.create_task(worker.stop())
        await eventually(lambda: len(waiting(url)) == 1 and completed(url) == 1, "the first exchange is back")
        assert not stopping.done()
        other.rollback()
        other.close()
        await stopping
        assert completed(url) == count


async def test_a_defect_in_the_second_exchange_is_the_workers(
    app: PgFlow, url: str, session: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, count = Gate("defect"), 2 * _PLENTY + 1
    trade = exchange.ExchangeLoop._trade

    async def broken(loop: exchange.ExchangeLoop, *arguments: Any) -> Any:
        if loop._underway == 2:
            raise ZeroDivisionError
        return await trade(loop, *arguments)

    worker = Worker(app, [gate.flow], concurrency=count, poll_interval=QUICK)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: worker.state == WorkerState.RUNNING, "the worker runs")
    run_ids = await started(app, gate, count)
    hold(session, run_ids[0])
    monkeypatch.setattr(exchange.ExchangeLoop, "_trade", broken)
    gate.let(0)
    await eventually(lambda: waiting(url), "the first exchange is under way")
    gate.let(*range(1, _PLENTY + 1))
    await eventually(lambda: worker._exchange._defect, "the second exchange breaks down")
    monkeypatch.setattr(exchange.ExchangeLoop, "_trade", trade)
    gate.let(*range(_PLENTY + 1, count))
    await eventually(lambda: worker._exchange._outbox.waiting == _PLENTY, "more is to be reported")
    assert worker._exchange._second is None
    session.rollback()
    with pytest.raises(ZeroDivisionError):
        await running
    assert worker.state == WorkerState.STOPPED
