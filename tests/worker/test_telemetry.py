"""What workers tell: every event of the table, with what the database took and nothing else."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from pgflow import Context, Flow, PgFlow, Snooze, telemetry
from pgflow.types import StartedTask, TaskReport
from pgflow.worker.news import News
from worker.running import ended, eventually, query, worked, working
from worker.telling import OF_A_TASK, Told, chosen


@pytest.mark.feature("A4-T")
async def test_a_run_that_completes_is_told_from_start_to_end(app: PgFlow, told: Told) -> None:
    flow = Flow("complete")

    @flow.step
    def step(value: int) -> int:
        return value + 1

    before = time.time()
    run = await worked(app, flow, 1)
    events = told.names("run.started", *OF_A_TASK, "run.completed", "run.failed")
    assert events == ["run.started", "task.start", "task.stop", "run.completed"]
    assert before <= told.one("run.started")["system_time"] <= told.one("task.start")["system_time"] <= time.time()
    for event in ("run.started", "run.completed"):
        assert chosen(told.one(event), "flow_slug", "run_id") == ("complete", run.run_id)
    assert run.completed_at is not None
    assert told.one("run.completed")["duration"] == pytest.approx((run.completed_at - run.started_at).total_seconds())
    for event in ("task.start", "task.stop"):
        keys = ("flow_slug", "run_id", "step_slug", "task_index", "attempt", "max_attempts")
        assert chosen(told.one(event), *keys) == ("complete", run.run_id, "step", 0, 1, 3)
    assert 0 <= told.one("task.stop")["duration"] < time.time() - before
    assert told.one("task.stop")["output"] == b"2"


@pytest.mark.feature("A4-T", "A4.12")
async def test_a_worker_is_told_from_start_to_end(app: PgFlow, told: Told) -> None:
    flow = Flow("life")

    @flow.map
    def step(element: int) -> int:
        return element

    async with working(app, flow, name="Ada"):
        await ended(app, flow, [1, 2, 3])
    started, stopped = told.one("worker.start"), told.one("worker.stop")
    assert chosen(started, "worker_name", "flow_slug") == ("Ada", "life")
    assert chosen(stopped, "worker_id", "worker_name", "flow_slug", "stop_reason") == (
        started["worker_id"],
        "Ada",
        "life",
        "operator",
    )
    assert stopped["duration"] > 0
    assert told.one("flow.ensured") == {"flow_slug": "life", "status": "compiled"}
    assert len(told.about("poll.start")) == len(told.about("poll.stop")) > 0
    assert sum(poll["task_count"] for poll in told.about("poll.stop")) == 3
    assert {poll["worker_id"] for poll in told.about("poll.stop")} == {started["worker_id"]}
    assert {task["worker_id"] for task in told.about("task.start")} == {started["worker_id"]}


async def test_a_retry_is_told_with_the_delay_that_the_database_chose(app: PgFlow, url: str, told: Told) -> None:
    flow = Flow("retry", base_delay=0)

    @flow.step
    def step(value: int, ctx: Context) -> str:
        if ctx.attempt == 1:
            raise ValueError("not yet")
        return "done"

    await worked(app, flow, 1)
    assert told.names(*OF_A_TASK) == ["task.start", "task.exception", "task.start", "task.stop"]
    assert [task["attempt"] for task in told.about("task.start")] == [1, 2]
    failure = told.one("task.exception")
    assert chosen(failure, "error", "retry_delay", "attempt") == ("ValueError: not yet", 0, 1)
    assert 'raise ValueError("not yet")' in failure["traceback"]


@pytest.mark.feature("A4-T")
async def test_a_failed_run_is_told_with_its_error(app: PgFlow, told: Told) -> None:
    flow = Flow("fail", max_attempts=1)

    @flow.step
    async def step(value: int) -> None:
        raise KeyError("secret")

    run = await worked(app, flow, 1)
    assert told.names(*OF_A_TASK, "run.completed", "run.failed") == ["task.start", "task.exception", "run.failed"]
    assert chosen(told.one("task.exception"), "error", "retry_delay") == ("KeyError: 'secret'", None)
    assert chosen(told.one("run.failed"), "run_id", "error") == (run.run_id, "KeyError: 'secret'")


async def test_the_delay_that_is_told_is_when_the_message_becomes_visible(app: PgFlow, url: str, told: Told) -> None:
    flow = Flow("delay", base_delay=50)

    @flow.step
    def step(value: int) -> None:
        raise ValueError

    async with working(app, flow):
        await app.start_flow(flow, 1)
        await eventually(lambda: told.about("task.exception"), "the task fails")
    (message,) = query(url, "select extract(epoch from vt - now())::float as seconds from pgmq.q_delay")
    assert message["seconds"] <= told.one("task.exception")["retry_delay"] < message["seconds"] + 5


async def test_skipped_steps_are_told_with_their_reasons(app: PgFlow, told: Told) -> None:
    flow = Flow("skip", max_attempts=1)

    @flow.step
    def first(value: int) -> dict[str, int]:
        return {"value": value}

    @flow.step(if_={"first": {"value": 2}}, when_unmet="skip")
    def unmet(first: dict[str, int]) -> int:
        return 1

    @flow.step(when_exhausted="skip-cascade")
    def exhausted(first: dict[str, int]) -> int:
        raise ValueError

    @flow.step
    def behind(exhausted: int) -> int:
        return exhausted

    run = await worked(app, flow, 1)
    assert run.status == "completed"
    told_skips = {(skip["step_slug"], skip["skip_reason"]) for skip in told.about("step.skipped")}
    assert len(told.about("step.skipped")) == 3
    assert told_skips == {
        ("unmet", "condition_unmet"),
        ("exhausted", "handler_failed"),
        ("behind", "dependency_skipped"),
    }
    assert {(skip["flow_slug"], skip["run_id"]) for skip in told.about("step.skipped")} == {("skip", run.run_id)}


async def test_a_report_that_comes_too_late_is_not_told_as_an_outcome(app: PgFlow, url: str, told: Told) -> None:
    flow = Flow("late", max_attempts=1)
    entered, released = asyncio.Event(), asyncio.Event()

    @flow.map
    async def step(element: int) -> int:
        if element == 1:
            await entered.wait()
            raise ValueError("fails the run")
        entered.set()
        try:
            await released.wait()
        except asyncio.CancelledError:
            return 0
        return element

    async with working(app, flow):
        await ended(app, flow, [1, 2])
        released.set()
        await eventually(lambda: told.about("task.discarded"), "the other task ends")
    assert told.names(*OF_A_TASK) == ["task.start", "task.start", "task.exception", "task.discarded"]
    assert told.one("task.discarded")["reason"] in ("late", "taken away")


async def test_a_snoozed_task_is_discarded(app: PgFlow, told: Told) -> None:
    flow = Flow("snooze")
    visits = 0

    @flow.step
    async def step(value: int) -> str:
        nonlocal visits
        visits += 1
        if visits == 1:
            raise Snooze(0)
        return "done"

    await worked(app, flow, 1)
    assert told.names(*OF_A_TASK) == ["task.start", "task.discarded", "task.start", "task.stop"]
    assert chosen(told.one("task.discarded"), "reason", "attempt") == ("snoozed", 1)
    assert [task["attempt"] for task in told.about("task.start")] == [1, 1]


async def test_a_task_that_its_worker_gives_back_is_discarded(app: PgFlow, told: Told) -> None:
    flow = Flow("give_back")
    entered = asyncio.Event()

    @flow.step
    async def step(value: int) -> None:
        entered.set()
        await asyncio.Event().wait()

    async with working(app, flow, stop_within=0):
        await app.start_flow(flow, 1)
        await entered.wait()
    assert told.names(*OF_A_TASK) == ["task.start", "task.discarded"]
    assert told.one("task.discarded")["reason"] == "released"


def test_an_output_that_the_database_refused_is_told_as_the_failure_it_became(told: Told) -> None:
    task = StartedTask("flow", uuid4(), "step", 0, None, None, 1, 3, 3, 60)
    report = TaskReport(task.run_id, "step", 0, 3, output=b"{}")
    news = News({"flow": uuid4()})
    news.ended(task, report, 0.5)
    news.reported([report], [replace(report, output=None, error_message="The database refused it")])
    assert told.names(*OF_A_TASK) == ["task.exception"]
    assert chosen(told.one("task.exception"), "error", "retry_delay", "duration") == (
        "The database refused it",
        None,
        0.5,
    )
    news.reported([report], [report])
    assert len(told.all) == 1


async def test_a_handler_that_raises_hurts_no_task(app: PgFlow, caplog: pytest.LogCaptureFixture) -> None:
    flow = Flow("unhurt")

    @flow.map
    def step(element: int) -> int:
        return element

    telemetry.attach("broken", telemetry.ALL, lambda *_: 1 / 0)
    try:
        assert (await worked(app, flow, [1, 2, 3])).output == {"step": [1, 2, 3]}
    finally:
        telemetry.detach("broken")
    assert len([record for record in caplog.records if record.name == "pgflow.telemetry"]) == 1


async def test_nothing_is_told_of_outcomes_while_the_database_is_away(app: PgFlow, url: str, told: Told) -> None:
    flow = Flow("away")
    entered, released = asyncio.Event(), asyncio.Event()

    @flow.step
    async def step(value: int) -> str:
        entered.set()
        await released.wait()
        return "done"

    async with working(app, flow):
        await app.start_flow(flow, 1)
        await entered.wait()
        query(url, "select pgflow.delete_flow_and_data('away')")
        released.set()
        await eventually(lambda: told.about("task.discarded"), "the report is answered")
    assert told.names("task.stop", "run.completed") == []
