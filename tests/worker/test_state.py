"""The stages of a worker's life, and what may follow what."""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise, product

import pytest

from pgflow import Flow, PgFlow, WorkerState
from pgflow.worker.state import follows
from pgflow.worker.worker import Worker
from worker.running import query, working

LEGAL = {
    ("created", "starting"),
    ("created", "stopped"),
    ("starting", "running"),
    ("starting", "stopped"),
    ("running", "deprecated"),
    ("running", "stopping"),
    ("deprecated", "stopping"),
    ("stopping", "stopped"),
}


@pytest.mark.feature("A4.20")
@pytest.mark.parametrize(("state", "following"), list(product(WorkerState, WorkerState)), ids=str)
def test_only_these_states_follow_each_other(state: WorkerState, following: WorkerState) -> None:
    assert follows(state, following) == ((state.value, following.value) in LEGAL)


@pytest.mark.feature("A4.20")
async def test_a_worker_goes_through_them_one_by_one(app: PgFlow) -> None:
    passed: list[WorkerState] = []

    class Watched(Worker):
        def __setattr__(self, name: str, value: object) -> None:
            if isinstance(value, WorkerState):
                passed.append(value)
            super().__setattr__(name, value)

    worker = Watched(app, [idle_flow()])
    await worker.start()
    await worker.stop()
    assert passed == ["created", "starting", "running", "stopping", "stopped"]
    assert all(follows(*pair) for pair in pairwise(passed))


async def test_a_worker_that_could_not_start_can_be_stopped() -> None:
    worker = Worker(PgFlow("postgresql://nobody@127.0.0.1:1/nowhere"), [idle_flow()])
    with pytest.raises(Exception, match="can't connect"):
        await worker.start()
    await worker.stop()
    assert worker.state == WorkerState.STOPPED


async def test_a_worker_can_be_stopped_while_it_starts(app: PgFlow) -> None:
    worker = Worker(app, [idle_flow()])
    starting = asyncio.create_task(worker.start())
    await asyncio.sleep(0)
    assert worker.state == WorkerState.STARTING
    await worker.stop()
    await starting
    assert worker.state == WorkerState.STOPPED


async def test_nobody_waits_for_a_worker_that_was_not_started(app: PgFlow) -> None:
    with pytest.raises(RuntimeError, match="start it first"):
        await Worker(app, [idle_flow()]).wait()


async def test_the_reason_of_the_end_is_kept(app: PgFlow) -> None:
    async with working(app, idle_flow()) as worker:
        assert worker.stop_reason is None
    assert worker.stop_reason == "operator"


def idle_flow() -> Flow:
    flow = Flow("idle")

    @flow.step
    def step(value: int) -> int:
        return value

    return flow


@pytest.mark.parametrize(
    ("program", "name"),
    [("/srv/shop/work.py", "work.py"), ("/venv/lib/pgflow/__main__.py", "pgflow"), ("", "python")],
)
async def test_a_worker_is_named_after_its_program(
    app: PgFlow, monkeypatch: pytest.MonkeyPatch, url: str, program: str, name: str
) -> None:
    flow = Flow("named")

    @flow.step
    def step(value: int) -> int:
        return value

    monkeypatch.setattr(sys, "argv", [program])
    async with working(app, flow):
        assert [row["function_name"] for row in query(url, "select function_name from pgflow.workers")] == [name]
