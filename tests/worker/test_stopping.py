"""How a worker ends inside a process."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pgflow import Context, Flow, PgFlow
from pgflow.worker.worker import Worker, WorkerState
from worker.running import DEADLINE_SECONDS, QUICK, eventually, query, task, working


def waiting_flow(entered: threading.Event, released: threading.Event) -> Flow:
    """A flow whose handler waits in a thread until it is released."""
    flow = Flow("waiting")

    @flow.step
    def step(value: int) -> str:
        entered.set()
        assert released.wait(DEADLINE_SECONDS)
        return "done"

    return flow


@pytest.mark.feature("A4.21")
async def test_stop_waits_for_running_handlers_and_reports_them(app: PgFlow, url: str) -> None:
    entered, released = threading.Event(), threading.Event()
    flow = waiting_flow(entered, released)
    async with working(app, flow) as worker:
        run = await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        stopping = asyncio.create_task(worker.stop())
        await eventually(lambda: worker.state == WorkerState.STOPPING, "the worker is asked to stop")
        released.set()
        await stopping
    assert (await run.refresh()).output == {"step": "done"}
    assert query(url, "select stopped_at is not null as stopped from pgflow.workers") == [{"stopped": True}]


async def test_a_stopping_worker_takes_no_more_tasks(app: PgFlow, url: str) -> None:
    entered, released = threading.Event(), threading.Event()
    flow = waiting_flow(entered, released)
    async with working(app, flow, concurrency=1) as worker:
        await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        worker.request_stop()
        await app.start_flow(flow, 2)
        released.set()
        await worker.wait()
    assert statuses(url) == ["completed", "queued"]


@pytest.mark.feature("A4.21")
async def test_stop_gives_back_the_task_of_an_async_handler_after_its_timeout(app: PgFlow, url: str) -> None:
    flow = Flow("endless")
    entered = asyncio.Event()
    cancelled = False

    @flow.step
    async def step(value: int) -> None:
        nonlocal cancelled
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    async with working(app, flow) as worker:
        await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        await worker.stop(0.01)
    assert cancelled
    assert (task(url)["status"], task(url)["attempts_count"], task(url)["error_message"]) == ("queued", 0, None)


async def test_stop_leaves_a_thread_behind_after_its_timeout_and_gives_back_its_task(app: PgFlow, url: str) -> None:
    entered, released = threading.Event(), threading.Event()
    flow = waiting_flow(entered, released)
    async with working(app, flow) as worker:
        await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        await worker.stop(0.01)
    assert (task(url)["status"], task(url)["attempts_count"]) == ("queued", 0)
    released.set()


@pytest.mark.feature("A4.21")
async def test_stop_can_be_called_again_and_by_several(app: PgFlow) -> None:
    flow = waiting_flow(threading.Event(), threading.Event())
    async with working(app, flow) as worker:
        await asyncio.gather(worker.stop(), worker.stop())
        await worker.stop()
        assert worker.state == WorkerState.STOPPED


async def test_a_worker_that_never_started_can_be_stopped(url: str) -> None:
    worker = Worker(PgFlow("postgresql://nobody@127.0.0.1:1/nowhere"), [waiting_flow(*two_events())])
    await worker.stop()
    assert worker.state == WorkerState.STOPPED


async def test_a_worker_starts_once(app: PgFlow) -> None:
    async with working(app, waiting_flow(*two_events())) as worker:
        with pytest.raises(RuntimeError, match="a worker starts once; this one is running"):
            await worker.start()


async def test_handlers_see_that_the_worker_stops(app: PgFlow) -> None:
    flow = Flow("polite")
    entered = asyncio.Event()

    @flow.step
    async def step(value: int, ctx: Context) -> list[bool]:
        seen = [ctx.shutting_down]
        entered.set()
        await eventually(lambda: ctx.shutting_down, "the worker stops")
        return [*seen, ctx.shutting_down]

    async with working(app, flow) as worker:
        run = await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        await worker.stop()
    assert (await run.refresh()).output == {"step": [False, True]}


@pytest.mark.feature("A4.20", "A4.22")
async def test_a_deprecated_worker_finishes_its_tasks_and_ends(app: PgFlow, url: str) -> None:
    entered, released = threading.Event(), threading.Event()
    flow = waiting_flow(entered, released)
    worker = Worker(app, [flow], concurrency=1, poll_interval=QUICK, heartbeat_interval=0.02)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: worker.state == WorkerState.RUNNING, "the worker runs")
    await app.start_flow(flow, 1)
    await eventually(entered.is_set, "the handler runs")
    query(url, "update pgflow.workers set deprecated_at = now()")
    await eventually(lambda: not worker._exchange.is_fetching("waiting"), "the worker has noticed")
    await app.start_flow(flow, 2)
    released.set()
    await running
    assert statuses(url) == ["completed", "queued"]
    assert query(url, "select stopped_at is not null as stopped from pgflow.workers") == [{"stopped": True}]


async def test_a_worker_goes_on_with_the_flows_that_are_not_deprecated(app: PgFlow, url: str) -> None:
    old = waiting_flow(*two_events())
    flow = Flow("current")

    @flow.step
    def step(value: int) -> int:
        return value

    async with working(app, old, flow, heartbeat_interval=0.02) as worker:
        query(url, "update pgflow.workers set deprecated_at = now() where queue_name = 'waiting'")
        await eventually(lambda: not worker._exchange.is_fetching("waiting"), "the worker has noticed")
        assert (await (await app.start_flow(flow, 1)).wait(DEADLINE_SECONDS)).status == "completed"


async def test_a_worker_whose_loop_breaks_ends_loudly(app: PgFlow, url: str, caplog: pytest.LogCaptureFixture) -> None:
    entered, released = asyncio.Event(), asyncio.Event()
    flow = Flow("breaking")

    @flow.step
    async def step(value: int) -> None:
        entered.set()
        await released.wait()

    worker = Worker(app, [flow], poll_interval=QUICK)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: worker.state == WorkerState.RUNNING, "the worker runs")
    await app.start_flow(flow, 1)
    await eventually(entered.is_set, "the handler runs")
    worker._exchange._poll_interval = None  # type: ignore[assignment] # a defect of this package
    with pytest.raises(AttributeError):
        await running
    assert worker.state == WorkerState.STOPPED
    assert "worker has broken down" in caplog.text


def statuses(url: str) -> list[str]:
    return [row["status"] for row in query(url, "select status from pgflow.step_tasks order by queued_at")]


def two_events() -> tuple[threading.Event, threading.Event]:
    return threading.Event(), threading.Event()
