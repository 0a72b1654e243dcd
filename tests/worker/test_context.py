"""What a handler receives as `ctx`."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgflow import Context, Flow, PgFlow
from pgflow.types import StartedTask
from worker.running import ended, query, worked, working


@pytest.mark.feature("A4.7")
async def test_the_context_says_which_task_it_is(app: PgFlow) -> None:
    flow = Flow("fields", max_attempts=4)

    @flow.map
    async def step(element: str, ctx: Context) -> list[Any]:
        return [str(ctx.run_id), ctx.flow_slug, ctx.step_slug, ctx.task_index, ctx.attempt, ctx.max_attempts]

    run = await worked(app, flow, ["a", "b"])
    assert run.output == {"step": [[str(run.run_id), "fields", "step", index, 1, 4] for index in (0, 1)]}


async def test_the_deadline_is_the_timeout_from_now(app: PgFlow) -> None:
    flow = Flow("deadline", timeout=100)

    @flow.step(timeout=50)
    def step(value: int, ctx: Context) -> float:
        return (ctx.deadline - datetime.now(UTC)) / timedelta(seconds=1)

    assert 45 < (await worked(app, flow, 1)).output["step"] <= 50


@pytest.mark.feature("A4.7")
@pytest.mark.parametrize("value", [{"name": "Ann"}, None], ids=repr)
async def test_every_step_can_have_the_input_of_the_run(app: PgFlow, value: Any) -> None:
    flow = Flow("inputs")

    @flow.step
    async def root(given: Any, ctx: Context) -> Any:
        return [await ctx.flow_input()]

    @flow.map(over=root)
    async def mapped(element: Any, ctx: Context) -> Any:
        return await ctx.flow_input()

    @flow.step
    def declared(root: Any, flow_input: Any) -> Any:
        return flow_input

    assert (await worked(app, flow, value)).output == {"mapped": [value], "declared": value}


async def test_the_input_of_the_run_is_read_once() -> None:
    reads = 0

    async def read(task: StartedTask) -> list[int]:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return [reads]

    context = make_context(read)
    assert [*await asyncio.gather(context.flow_input(), context.flow_input())] == [[1], [1]]
    assert await context.flow_input() == [1]
    assert reads == 1


async def test_a_read_that_was_cancelled_can_be_tried_again() -> None:
    hanging = asyncio.Event()

    async def read(task: StartedTask) -> str:
        await hanging.wait()
        return "input"

    context = make_context(read)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(context.flow_input(), 0.001)
    hanging.set()
    assert await context.flow_input() == "input"


async def test_log_records_carry_the_task(app: PgFlow, caplog: pytest.LogCaptureFixture) -> None:
    flow = Flow("logging")

    @flow.step
    def step(value: int, ctx: Context) -> None:
        ctx.logger.warning("found %d %s", 3, "pages", extra={"pages": 3})

    run = await worked(app, flow, 1)
    (record,) = [record for record in caplog.records if record.name == "pgflow.task"]
    fields = {name: record.__dict__[name] for name in ("flow_slug", "run_id", "step_slug", "task_index", "attempt")}
    assert fields == {
        "flow_slug": "logging",
        "run_id": str(run.run_id),
        "step_slug": "step",
        "task_index": 0,
        "attempt": 1,
    }
    assert record.__dict__["pages"] == 3
    assert record.getMessage() == f"[logging.step[0] {run.run_id}] found 3 pages"
    assert record.levelno == logging.WARNING


async def test_a_handler_can_start_other_flows(app: PgFlow, url: str) -> None:
    parent, child = Flow("parent"), Flow("child")

    @child.step
    def echo(value: int) -> int:
        return value

    @parent.step
    async def spawn(value: int, ctx: Context) -> Any:
        return await (await ctx.client.start_flow(child, value)).result(10)

    async with working(app, parent, child):
        assert (await ended(app, parent, 7)).output == {"spawn": {"echo": 7}}
    assert len(query(url, "select run_id from pgflow.runs")) == 2


def make_context(read: Any) -> Context:
    import uuid

    task = StartedTask("flow", uuid.uuid4(), "step", 0, {}, None, 1, 1, 3, 60)
    return Context(task, deadline=datetime.now(UTC), is_stopping=bool, client=PgFlow(), read_flow_input=read)
