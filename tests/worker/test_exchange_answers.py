"""Answers of the database that are lost, late, or come while the worker gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from psycopg.errors import ProgramLimitExceeded

from pgflow import Context, Flow, PgFlow, Retry, calls
from pgflow.calls import Call, Exchanged
from pgflow.errors import ConnectionLost
from pgflow.listening import listener
from pgflow.types import TaskReport
from pgflow.worker import exchange, trade
from pgflow.worker.outbox import Outbox
from worker.running import DEADLINE_SECONDS, ended, eventually, query, task, tasks, working

T = TypeVar("T")


class Line:
    """Stands between an application and its database; loses the first answer of an exchange that `is_lost`."""

    def __init__(self, app: PgFlow, is_lost: Callable[[Exchanged], object]) -> None:
        self._run = app.database.run
        self._is_lost = is_lost
        self.losses = 0
        self.looks = 0

    async def run(self, call: Call[T], conn: object | None = None) -> T:
        self.looks += "release_lost_tasks" in call.sql
        answer = await self._run(call, conn)
        if isinstance(answer, Exchanged) and not self.losses and self._is_lost(answer):
            self.losses += 1
            raise ConnectionLost("the answer is lost")
        return answer


def connected(app: PgFlow, monkeypatch: pytest.MonkeyPatch, is_lost: Callable[[Exchanged], object]) -> Line:
    line = Line(app, is_lost)
    monkeypatch.setattr(app.database, "run", line.run)
    return line


def plain(slug: str = "answers", **options: Any) -> Flow:
    flow = Flow(slug, **options)

    @flow.map
    async def step(element: int) -> int:
        return element

    return flow


async def test_tasks_whose_handover_is_lost_are_given_back(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    flow = plain()
    line = connected(app, monkeypatch, lambda exchanged: exchanged.tasks)
    async with working(app, flow):
        assert (await ended(app, flow, [1, 2, 3])).output == {"step": [1, 2, 3]}
    assert line.losses == 1
    assert {(row["attempts_count"], row["requeued_count"]) for row in tasks(url)} == {(1, 0)}


async def test_a_retry_that_is_handed_over_in_the_lost_answer_to_its_report_is_given_back(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    flow = Flow("again")

    @flow.step
    async def step(value: int, ctx: Context) -> int:
        if ctx.attempt == 1:
            raise Retry(after=0)
        return ctx.attempt

    line = connected(app, monkeypatch, lambda exchanged: exchanged.recorded and exchanged.tasks)
    async with working(app, flow):
        assert (await ended(app, flow, 1)).output == {"step": 2}
    assert line.losses == 1
    assert (task(url)["attempts_count"], task(url)["requeued_count"]) == (2, 0)


async def test_a_continuation_whose_handover_is_lost_is_given_back_and_the_report_counts_once(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    flow = Flow("chain")

    @flow.step
    async def first(value: int) -> int:
        return value + 1

    @flow.step
    async def second(first: int) -> int:
        return first + 1

    line = connected(app, monkeypatch, lambda exchanged: exchanged.recorded and exchanged.tasks)
    async with working(app, flow):
        assert (await ended(app, flow, 1)).output == {"second": 3}
    assert line.losses == 1
    assert [row["attempts_count"] for row in tasks(url)] == [1, 1]


async def test_tasks_that_a_broken_connection_starts_late_are_given_back(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(exchange, "_LATEST_COMMIT", 0.1)
    flow = plain("late")
    run_now = app.database.run
    looked, late = asyncio.Event(), list[asyncio.Task[Any]]()

    async def when_looked(call: Call[Any]) -> None:
        await looked.wait()
        await run_now(call)

    async def run(call: Call[Any], conn: object | None = None) -> Any:
        if "exchange_tasks" in call.sql and not late and tasks(url):
            late.append(asyncio.create_task(when_looked(call)))
            raise ConnectionLost("nobody knows whether the server goes on")
        answer = await run_now(call, conn)
        if "release_lost_tasks" in call.sql and not looked.is_set():
            looked.set()
            await late[0]
        return answer

    monkeypatch.setattr(app.database, "run", run)
    async with working(app, flow):
        assert (await ended(app, flow, [1, 2])).output == {"step": [1, 2]}
    assert {(row["attempts_count"], row["requeued_count"]) for row in tasks(url)} == {(1, 0)}


async def test_what_is_handed_over_while_the_worker_gives_up_goes_back(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    flow = plain("given_up")
    run_now, handed, given_up = app.database.run, asyncio.Event(), asyncio.Event()

    async def run(call: Call[Any], conn: object | None = None) -> Any:
        answer = await run_now(call, conn)
        if isinstance(answer, Exchanged) and answer.tasks:
            handed.set()
            await given_up.wait()
        return answer

    monkeypatch.setattr(app.database, "run", run)
    async with working(app, flow) as worker:
        await app.start_flow(flow, [1, 2, 3])
        await handed.wait()
        worker.abandon()
        given_up.set()
        await worker.stop()
    assert {(row["status"], row["attempts_count"]) for row in tasks(url)} == {("queued", 0)}


async def test_a_flow_that_rests_is_asked_again_although_nobody_calls(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "_SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(exchange, "_PAUSE_WITH_NOTIFICATIONS", 3600.0)
    monkeypatch.setattr(trade, "_REST_OF_A_FLOW", 0.3)
    flow, other = plain("resting"), plain("other")
    async with working(app, flow, other) as worker:
        await eventually(lambda: worker._exchange.notified, "it relies on notifications")
        query(url, "delete from pgflow.workers where queue_name = 'resting'")
        run = await app.start_flow(flow, [1])
        await eventually(lambda: "can't fetch tasks of flow resting" in caplog.text, "the flow rests")
        await app.database.run(calls.keep_alive({worker._worker_ids["resting"]: "resting"}, "tests"))
        assert (await run.wait(10)).status == "completed"


async def test_tasks_whose_inputs_are_too_large_together_come_one_by_one(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = plain("large")
    run_now = app.database.run

    async def run(call: Call[Any], conn: object | None = None) -> Any:
        answer = await run_now(call, conn)
        if isinstance(answer, Exchanged) and len(answer.tasks) > 1:
            keys = [TaskReport(task.run_id, task.step_slug, task.task_index, task.attempt) for task in answer.tasks]
            await run_now(calls.release_tasks(keys))  # as the rollback does
            raise ProgramLimitExceeded("array size exceeds the maximum allowed")
        return answer

    monkeypatch.setattr(app.database, "run", run)
    async with working(app, flow):
        assert (await ended(app, flow, [1, 2, 3, 4])).output == {"step": [1, 2, 3, 4]}


def test_reports_that_were_put_back_are_the_first_of_the_next_batch() -> None:
    outbox = Outbox()
    reports = [TaskReport(uuid4(), "step", index, 1, output=b"1") for index in range(4)]
    for report in reports[:3]:
        outbox.add(report)
    batch = outbox.take()
    outbox.add(reports[3])
    assert (outbox.undelivered(), outbox.waiting, len(outbox)) == (reports, 1, 4)
    outbox.put_back(batch)
    assert outbox.take() == reports


async def test_tasks_that_one_flow_was_asked_for_are_given_back_when_that_answer_is_lost(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    flow = plain("alone")
    run_now, refusals, losses = app.database.run, list[str](), list[str]()

    async def run(call: Call[Any], conn: object | None = None) -> Any:
        if "exchange_tasks" in call.sql and not refusals:
            refusals.append(call.sql)
            raise ProgramLimitExceeded("array size exceeds the maximum allowed")
        answer = await run_now(call, conn)
        if isinstance(answer, Exchanged) and answer.tasks and not losses:
            losses.append(call.sql)
            raise ConnectionLost("the answer is lost")
        return answer

    await app.ensure_compiled(flow)
    run_of_flow = await app.start_flow(flow, [1, 2, 3])
    monkeypatch.setattr(app.database, "run", run)
    async with working(app, flow):
        assert (await run_of_flow.wait(DEADLINE_SECONDS)).output == {"step": [1, 2, 3]}
    assert (len(refusals), len(losses)) == (1, 1)
    assert {(row["attempts_count"], row["requeued_count"]) for row in tasks(url)} == {(1, 0)}
