"""Several flows in one worker, and several workers on one queue."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import pytest

from pgflow import Context, Flow, PgFlow
from pgflow.errors import DefinitionError, FlowShapeMismatch
from worker.running import DEADLINE_SECONDS, ended, query, tasks, working

OTHER = UUID(int=7)
"""A worker that isn't of this package."""


async def test_one_worker_works_several_flows(app: PgFlow, url: str) -> None:
    flows = [Flow(f"flow_{number}") for number in range(3)]
    for flow in flows:

        @flow.step
        def name(value: int, ctx: Context) -> str:
            return ctx.flow_slug

    async with working(app, *flows):
        runs = await asyncio.gather(*(ended(app, flow, 1) for flow in flows))
    assert [run.output for run in runs] == [{"name": flow.slug} for flow in flows]
    workers = query(url, "select queue_name from pgflow.workers order by 1")
    assert [row["queue_name"] for row in workers] == ["flow_0", "flow_1", "flow_2"]


@pytest.mark.feature("A4.1")
async def test_two_workers_share_a_queue_and_run_every_task_once(app: PgFlow, url: str) -> None:
    flow = Flow("shared")
    calls: Counter[int] = Counter()

    @flow.map
    async def step(element: int) -> None:
        calls[element] += 1
        await asyncio.sleep(0)

    async with working(app, flow, concurrency=5), working(app, flow, concurrency=5):
        run = await ended(app, flow, list(range(100)))
    assert run.status == "completed"
    assert calls == Counter(range(100))
    assert {row["attempts_count"] for row in tasks(url)} == {1}
    assert len({row["last_worker_id"] for row in tasks(url)}) == 2


@pytest.mark.feature("A4.1", "A4.23", "A5.18")
async def test_a_worker_of_another_language_works_on_the_same_run(app: PgFlow, url: str) -> None:
    flow = Flow("mixed")

    @flow.step
    def first(value: int) -> int:
        raise AssertionError("the other worker has this one")

    @flow.step
    def second(first: int) -> int:
        return first + 1

    await app.ensure_compiled(flow)
    run = await app.start_flow(flow, 1)
    query(url, "insert into pgflow.workers (worker_id, queue_name, function_name) values (%s, 'mixed', 'other')", OTHER)
    messages = query(url, "select msg_id from pgmq.read_with_poll('mixed', 60, 5)")
    claim = "select run_id, step_slug, task_index from pgflow.start_tasks('mixed', %s, %s)"
    claimed = query(url, claim, [message["msg_id"] for message in messages], OTHER)
    assert claimed == [{"run_id": run.run_id, "step_slug": "first", "task_index": 0}]
    query(url, "select pgflow.complete_task(%s, 'first', 0, '41')", run.run_id)
    async with working(app, flow):
        assert (await run.wait(DEADLINE_SECONDS)).output == {"second": 42}


async def test_a_busy_flow_does_not_starve_another_one(app: PgFlow, url: str) -> None:
    busy, calm = Flow("busy"), Flow("calm")

    @busy.map
    async def work(element: int) -> None:
        await asyncio.sleep(0)

    @calm.step
    def answer(value: int) -> int:
        return value

    async with working(app, busy, calm, concurrency=2):
        long = await app.start_flow(busy, list(range(2000)))
        assert (await ended(app, calm, 1)).status == "completed"
        assert (await long.refresh()).status == "started"
        query(url, "select pgflow.delete_flow_and_data('busy')")


async def test_two_flows_of_one_name_are_refused(app: PgFlow) -> None:
    flows = [Flow("same"), Flow("same")]
    for flow in flows:

        @flow.step
        def step(value: int) -> int:
            return value

    with pytest.raises(DefinitionError, match="two flows are called 'same'"):
        app.worker(*flows)


async def test_a_worker_without_flows_is_refused(app: PgFlow) -> None:
    with pytest.raises(DefinitionError, match="at least one flow"):
        app.worker()


@pytest.mark.feature("A4.12")
async def test_a_worker_does_not_start_on_another_shape_of_its_flow(app: PgFlow, url: str) -> None:
    before, after = Flow("changed"), Flow("changed")

    @before.step
    def old(value: int) -> int:
        return value

    @after.step
    def new(value: int) -> int:
        return value

    await app.ensure_compiled(before)
    worker = app.worker(after)
    with pytest.raises(FlowShapeMismatch):
        await worker.start()
    await worker.stop()
    assert worker.state == "stopped"
    assert query(url, "select worker_id from pgflow.workers") == []
