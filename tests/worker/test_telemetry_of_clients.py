"""What clients tell of flows that they define and delete, and of runs that they start."""

from __future__ import annotations

import psycopg

from pgflow import Flow, PgFlow
from worker.telling import Told, chosen


async def test_a_flow_that_is_deleted_is_told(app: PgFlow, told: Told) -> None:
    flow = Flow("gone")

    @flow.step
    def step(value: int) -> int:
        return value

    await app.ensure_compiled(flow)
    await app.ensure_compiled(flow)
    await app.delete_flow(flow)
    assert [ensured["status"] for ensured in told.about("flow.ensured")] == ["compiled", "verified"]
    assert told.one("flow.deleted") == {"flow_slug": "gone"}


async def test_each_of_many_starts_is_told(app: PgFlow, told: Told) -> None:
    flow = Flow("many")

    @flow.step
    def step(value: int) -> int:
        return value

    await app.ensure_compiled(flow)
    runs = await app.start_flows(flow, [1, 2, 3])
    assert {run["run_id"] for run in told.about("run.started")} == {run.run_id for run in runs}
    assert len(told.about("run.started")) == 3


async def test_a_run_that_ends_as_it_is_started_is_told_by_who_started_it(app: PgFlow, told: Told) -> None:
    flow = Flow("at_once")

    @flow.map
    def step(element: int) -> int:
        return element

    await app.ensure_compiled(flow)
    run = await app.start_flow(flow, [])
    assert run.status == "completed"
    assert told.names("run.started", "run.completed") == ["run.started", "run.completed"]
    assert chosen(told.one("run.completed"), "run_id", "duration") == (run.run_id, 0)


async def test_a_run_that_fails_as_it_is_started_is_told_by_who_started_it(app: PgFlow, told: Told) -> None:
    flow = Flow("fails_at_once")

    @flow.step(if_={"value": 2}, when_unmet="fail")
    def step(value: dict[str, int]) -> int:
        return 1

    await app.ensure_compiled(flow)
    run = await app.start_flow(flow, {"value": 1})
    assert run.status == "failed"
    assert told.one("run.failed")["error"] == "the condition of a step isn't met"


async def test_a_run_in_a_transaction_of_the_caller_is_not_told(app: PgFlow, url: str, told: Told) -> None:
    flow = Flow("unsure")

    @flow.step
    def step(value: int) -> int:
        return value

    await app.ensure_compiled(flow)
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await app.start_flow(flow, 1, conn=connection)
        await connection.rollback()
    assert told.about("run.started") == []
