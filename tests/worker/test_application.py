"""Workers of an application object: started and stopped beside whatever else the process does, and how they are."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Unpack, get_type_hints

import psycopg
import pytest

from pgflow import DefinitionError, Flow, FlowNotFound, HealthStatus, PgFlow, WorkerState
from pgflow.sync import PgFlow as BlockingPgFlow
from pgflow.worker.options import WorkerOptions
from pgflow.worker.worker import Worker
from worker.running import DEADLINE_SECONDS, QUICK, eventually, query

OPTIONS: WorkerOptions = {"poll_interval": QUICK, "heartbeat_interval": 0.05}


def doubling(slug: str = "doubling") -> Flow:
    flow = Flow(slug)

    @flow.step
    def double(value: int) -> int:
        return 2 * value

    return flow


async def started(app: PgFlow, *flows: Flow | str, **options: Unpack[WorkerOptions]) -> Worker:
    """Start a worker and return what the application keeps to itself."""
    await app.start_worker(*flows, **options)
    return app._workers[-1]


@pytest.mark.feature("A1.15", "A1.16")
async def test_a_worker_runs_beside_its_program_until_it_is_stopped(app: PgFlow, url: str) -> None:
    flow = doubling()
    await app.start_worker(flow, **OPTIONS)
    assert await (await app.start_flow(flow, 21)).result(DEADLINE_SECONDS) == {"double": 42}
    await app.stop_worker(flow)
    await app.stop_worker(flow)
    assert query(url, "select stopped_at is not null as stopped from pgflow.workers") == [{"stopped": True}]


@pytest.mark.feature("A1.15", "A1.16")
async def test_flows_of_the_application_are_meant_unless_others_are_named(url: str) -> None:
    flows = [doubling("one"), doubling("two")]
    async with PgFlow(url, flows=flows) as app:
        worker = await started(app, **OPTIONS)
        assert worker.flow_slugs == ("one", "two")
        await app.stop_worker("two")
        assert worker.state == WorkerState.STOPPED
        again = await started(app, "one", **OPTIONS)
        assert again.flow_slugs == ("one",)


@pytest.mark.feature("A1.2")
async def test_closing_the_application_stops_its_workers(url: str) -> None:
    async with PgFlow(url, flows=[doubling()]) as app:
        worker = await started(app, **OPTIONS)
    assert worker.state == WorkerState.STOPPED
    assert query(url, "select stopped_at is not null as stopped from pgflow.workers") == [{"stopped": True}]


async def test_a_flow_has_one_worker_of_an_application(app: PgFlow) -> None:
    flow = doubling()
    await app.start_worker(flow, **OPTIONS)
    with pytest.raises(DefinitionError, match="a worker of doubling runs already"):
        await app.start_worker(doubling("other"), flow)
    await app.stop_worker()
    await app.start_worker(flow, **OPTIONS)
    await app.stop_worker()


async def test_a_worker_that_cannot_start_leaves_nothing_behind(app: PgFlow, url: str) -> None:
    await app.ensure_compiled(doubling())
    changed = doubling()
    changed.step(lambda double: double, slug="more", depends_on=["double"])
    with pytest.raises(Exception, match="doubling"):
        await app.start_worker(changed)
    assert query(url, "select worker_id from pgflow.workers") == []
    await app.start_worker(doubling(), **OPTIONS)
    await app.stop_worker()


@pytest.mark.feature("A1.3")
async def test_what_does_not_exist_is_refused(app: PgFlow) -> None:
    with pytest.raises(FlowNotFound, match="nothing"):
        await app.start_worker("nothing")
    with pytest.raises(TypeError, match="concurency"):
        await app.start_worker(doubling(), concurency=3)  # type: ignore[call-arg]
    with pytest.raises(DefinitionError, match="at least one flow"):
        await app.start_worker()


@pytest.mark.feature("A4.11")
def test_every_option_of_a_worker_can_be_passed_on() -> None:
    accepted = set(Worker.__init__.__kwdefaults__)
    assert set(get_type_hints(WorkerOptions)) == accepted


async def test_a_worker_touches_no_signals(app: PgFlow) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    await app.start_worker(doubling(), **OPTIONS)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    await app.stop_worker()


class TestHealth:
    @pytest.mark.feature("A1.19")
    async def test_a_working_application_is_well(self, url: str) -> None:
        flow = doubling()
        async with PgFlow(url, flows=[flow]) as app:
            await app.start_worker(**OPTIONS)
            health = await app.health_check()
            assert (health.status, health.problems) == (HealthStatus.OK, ())
            assert health.database_seconds is not None
            (worker,) = health.workers
            assert (worker.flow_slugs, worker.state, worker.running_tasks) == (("doubling",), "running", 0)
            assert worker.heartbeat_age is not None
            assert health.queues["doubling"].visible_count == 0

    async def test_the_depth_of_queues_is_told_without_a_worker(self, url: str) -> None:
        flow = doubling()
        async with PgFlow(url, flows=[flow]) as app:
            await app.ensure_compiled(flow)
            await app.start_flows(flow, [1, 2, 3])
            assert (await app.health_check()).queues["doubling"].visible_count == 3

    @pytest.mark.feature("A1.19")
    async def test_a_flow_that_is_not_registered_is_a_problem(self, url: str) -> None:
        async with PgFlow(url, flows=[doubling("missing")]) as app:
            health = await app.health_check()
        assert health.status == HealthStatus.DEGRADED
        assert health.problems == ("flow missing isn't registered in this database; `pgflow compile` does that",)

    @pytest.mark.feature("A1.19")
    async def test_without_a_database_it_is_down(self) -> None:
        health = await PgFlow("postgresql://nobody@127.0.0.1:1/nowhere", flows=[doubling()]).health_check()
        assert health.status == HealthStatus.DOWN
        assert "can't connect" in health.problems[0]
        assert health.database_seconds is None

    async def test_a_database_that_does_not_answer_is_down(self, url: str) -> None:
        async with PgFlow(url, flows=[doubling()]) as app:
            await app.ensure_compiled(app.flows[0])
            with psycopg.connect(url) as holder:
                holder.execute("lock table pgmq.q_doubling")
                health = await app.health_check(timeout=0.1)
        assert (health.status, health.problems) == (
            HealthStatus.DOWN,
            ("the database hasn't answered within 0.1 s",),
        )

    async def test_a_worker_that_was_asked_to_leave_is_a_problem(self, app: PgFlow, url: str) -> None:
        worker = await started(app, doubling(), **OPTIONS)
        query(url, "update pgflow.workers set deprecated_at = now()")
        await worker.wait()
        health = await app.health_check()
        assert health.status == HealthStatus.DEGRADED
        assert "was asked to leave by the database" in health.problems[0]

    async def test_a_worker_that_has_broken_down_is_down(self, app: PgFlow, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.CRITICAL)
        worker = await started(app, doubling(), **OPTIONS)
        worker._exchange._poll_interval = None  # type: ignore[assignment] # a defect of this package
        with pytest.raises(AttributeError):
            await worker.wait()
        health = await app.health_check()
        assert health.status == HealthStatus.DOWN
        assert "has broken down" in health.problems[0]
        with pytest.raises(AttributeError):
            await app.stop_worker()

    async def test_a_running_task_is_counted(self, app: PgFlow) -> None:
        flow, entered, released = Flow("counted"), asyncio.Event(), asyncio.Event()

        @flow.step
        async def step(value: int) -> None:
            entered.set()
            await released.wait()

        await app.start_worker(flow, **OPTIONS)
        await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        health = await app.health_check()
        assert health.workers[0].running_tasks == 1
        assert health.queues["counted"].delayed_count == 1
        released.set()
        await app.stop_worker()


class TestTheBlockingTwin:
    """The same names, without an event loop in sight."""

    @pytest.fixture
    def blocking(self, url: str) -> Iterator[BlockingPgFlow]:
        before = set(threading.enumerate())
        with BlockingPgFlow(url, flows=[doubling()]) as blocking:
            yield blocking
        left = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("pgflow")]
        assert not left, "threads end with the application"

    def test_a_worker_runs_in_the_background(self, blocking: BlockingPgFlow) -> None:
        blocking.start_worker(**OPTIONS)
        assert blocking.start_flow("doubling", 4).result(DEADLINE_SECONDS) == {"double": 8}
        assert blocking.health_check().status == HealthStatus.OK
        blocking.stop_worker("doubling")
        assert blocking.health_check().workers == ()
        blocking.start_worker("doubling", **OPTIONS)

    @pytest.mark.feature("A1.16")
    def test_stopping_what_was_never_started_is_fine(self, blocking: BlockingPgFlow) -> None:
        blocking.stop_worker()

    def test_errors_come_from_where_they_happen(self, blocking: BlockingPgFlow) -> None:
        with pytest.raises(FlowNotFound):
            blocking.start_worker("nothing")
        with pytest.raises(TypeError, match="concurency"):
            blocking.start_worker(concurency=3)  # type: ignore[call-arg]

    def test_without_a_database_it_is_down(self) -> None:
        blocking = BlockingPgFlow("postgresql://nobody@127.0.0.1:1/nowhere")
        assert blocking.health_check().status == HealthStatus.DOWN
        blocking.close()
