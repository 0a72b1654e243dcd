"""Where handlers run, and how many at once."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from pgflow import Flow, PgFlow
from worker.running import DEADLINE_SECONDS, ended, query, worked, working

variable = contextvars.ContextVar("variable", default="unset")


class Gauge:
    """Counts who is inside, and the most that ever were."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self.inside -= 1


async def test_a_def_handler_runs_in_a_named_thread(app: PgFlow) -> None:
    flow = Flow("threads")

    @flow.step
    def name(value: int) -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return threading.current_thread().name

    assert (await worked(app, flow, 1)).output["name"].startswith("pgflow-handler-")


async def test_an_async_handler_runs_on_the_event_loop_of_the_worker(app: PgFlow) -> None:
    flow = Flow("loop")
    loops = [asyncio.get_running_loop()]

    @flow.step
    async def step(value: int) -> None:
        loops.append(asyncio.get_running_loop())

    await worked(app, flow, 1)
    assert loops == loops[:1] * 2


async def test_def_handlers_run_at_the_same_time(app: PgFlow) -> None:
    flow = Flow("together")
    barrier = threading.Barrier(4, timeout=DEADLINE_SECONDS)

    @flow.map
    def meet(element: int) -> None:
        barrier.wait()

    assert (await worked(app, flow, [1, 2, 3, 4])).status == "completed"


@pytest.mark.feature("A4.1")
async def test_steps_that_do_not_need_each_other_run_at_the_same_time(app: PgFlow) -> None:
    flow = Flow("abreast")
    barrier = threading.Barrier(2, timeout=DEADLINE_SECONDS)

    @flow.step
    def left(value: int) -> None:
        barrier.wait()

    @flow.step
    def right(value: int) -> None:
        barrier.wait()

    assert (await worked(app, flow, 1)).status == "completed"


async def test_a_blocking_handler_does_not_hold_up_others(app: PgFlow) -> None:
    flow = Flow("blocking")
    released = threading.Event()

    @flow.step
    def blocking(value: int) -> None:
        assert released.wait(DEADLINE_SECONDS)

    @flow.step
    async def releasing(value: int) -> None:
        released.set()

    assert (await worked(app, flow, 1)).status == "completed"


@pytest.mark.feature("A4.11")
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_the_bound_of_concurrency_is_kept(app: PgFlow, concurrency: int) -> None:
    flow = Flow("bound")
    gauge = Gauge()

    @flow.map
    def in_thread(element: int) -> int:
        with gauge:
            return element

    @flow.map(over=in_thread)
    async def on_loop(element: int) -> int:
        with gauge:
            await asyncio.sleep(0)
            return element

    async with working(app, flow, concurrency=concurrency):
        assert (await ended(app, flow, list(range(20)))).status == "completed"
    assert 1 <= gauge.most <= concurrency


async def test_threads_are_used_again(app: PgFlow) -> None:
    flow = Flow("reuse")
    names: set[str] = set()

    @flow.map
    def step(element: int) -> None:
        names.add(threading.current_thread().name)

    async with working(app, flow, concurrency=2):
        await ended(app, flow, list(range(10)))
    assert len(names) <= 2


async def test_a_handler_sees_no_context_variables_of_another_one(app: PgFlow) -> None:
    flow = Flow("variables")

    @flow.map
    def step(element: int) -> str:
        before = variable.get()
        variable.set("changed")
        return before

    async with working(app, flow, concurrency=1):
        assert (await ended(app, flow, [1, 2])).output == {"step": ["unset", "unset"]}


async def test_handlers_may_use_the_database_when_the_pool_has_one_connection(url: str) -> None:
    flow = Flow("crowded")

    @flow.map
    async def step(element: int, ctx) -> str:  # type: ignore[no-untyped-def]
        return str((await ctx.client.get_run(ctx.run_id)).run_id)

    async with PgFlow(url, pool_size=1) as app, working(app, flow, concurrency=20, heartbeat_interval=0.01):
        run = await ended(app, flow, list(range(40)))
    assert run.output == {"step": [str(run.run_id)] * 40}
    assert query(url, "select max(attempts_count) as most from pgflow.step_tasks") == [{"most": 1}]
