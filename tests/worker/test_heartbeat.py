"""Heartbeats: whatever handlers do, on a connection of their own, and what they bring back."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from conftest import as_superuser
from pgflow import Flow, PgFlow, WorkerState, telemetry
from pgflow.worker.heartbeat import HeartbeatThread
from pgflow.worker.worker import Worker
from worker.running import DEADLINE_SECONDS, QUICK, ended, eventually, query, working

INTERVAL = 0.05


def last_heartbeat(url: str) -> datetime:
    (row,) = query(url, "select max(last_heartbeat_at) as at from pgflow.workers")
    assert isinstance(row["at"], datetime)
    return row["at"]


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Look again and again, without an event loop, until the condition holds."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s in vain: {what}"
        time.sleep(0.005)


def wait_for_heartbeats(url: str, count: int = 3) -> None:
    """Return after so many more heartbeats; blocks."""
    for _ in range(count):
        before = last_heartbeat(url)
        wait_for(lambda before=before: last_heartbeat(url) > before, "another heartbeat")  # type: ignore[misc]


async def test_a_handler_that_blocks_the_event_loop_does_not_hold_heartbeats_up(app: PgFlow, url: str) -> None:
    flow = Flow("blocking")

    @flow.step
    async def step(value: int) -> str:
        wait_for_heartbeats(url)  # not a moment for the loop
        return "done"

    async with working(app, flow, heartbeat_interval=INTERVAL):
        assert (await ended(app, flow, 1)).output == {"step": "done"}


async def test_a_handler_that_computes_does_not_hold_heartbeats_up(app: PgFlow, url: str) -> None:
    flow = Flow("computing")
    seen = threading.Event()

    @flow.step
    async def step(value: int) -> int:
        watching = threading.Thread(target=lambda: (wait_for_heartbeats(url), seen.set()))
        watching.start()
        while not seen.is_set():
            value = (value * 31 + 7) % 1_000_003
        watching.join()
        return 0

    async with working(app, flow, heartbeat_interval=INTERVAL):
        assert (await ended(app, flow, 1)).output == {"step": 0}


async def test_heartbeats_go_on_until_the_last_handler_has_ended(app: PgFlow, url: str) -> None:
    flow = Flow("last")
    entered, released = asyncio.Event(), asyncio.Event()

    @flow.step
    async def step(value: int) -> str:
        entered.set()
        await released.wait()
        return "done"

    async with working(app, flow, heartbeat_interval=INTERVAL) as worker:
        await app.start_flow(flow, 1)
        await eventually(entered.is_set, "the handler runs")
        stopping = asyncio.create_task(worker.stop())
        await eventually(lambda: deprecated(url), "the database knows that the worker leaves")
        await asyncio.to_thread(wait_for_heartbeats, url)
        assert query(url, "select stopped_at from pgflow.workers") == [{"stopped_at": None}]
        released.set()
        await stopping
    assert query(url, "select stopped_at >= deprecated_at as ended from pgflow.workers") == [{"ended": True}]


def deprecated(url: str) -> bool:
    return bool(query(url, "select deprecated_at is not null as leaves from pgflow.workers")[0]["leaves"])


async def test_a_row_that_was_pruned_comes_back(app: PgFlow, url: str) -> None:
    async with working(app, idle_flow(), heartbeat_interval=INTERVAL):
        query(url, "delete from pgflow.workers")
        await eventually(lambda: query(url, "select worker_id from pgflow.workers"), "the worker registers again")


async def test_all_flows_of_a_process_share_one_statement(app: PgFlow, url: str) -> None:
    flows = [idle_flow(f"idle_{number}") for number in range(5)]
    async with working(app, *flows, heartbeat_interval=INTERVAL):
        await asyncio.to_thread(wait_for_heartbeats, url)
        distinct = query(url, "select count(*), count(distinct xmin::text) as statements from pgflow.workers")
    assert distinct == [{"count": 5, "statements": 1}]


@pytest.mark.feature("A4.22")
async def test_a_deprecated_worker_ends_by_itself_and_says_why(app: PgFlow, url: str) -> None:
    told: list[tuple[str, object]] = []
    telemetry.attach("tests", ["worker.start", "worker.stop"], lambda event, _, about: told.append((event, {**about})))
    worker = Worker(app, [idle_flow()], poll_interval=QUICK, heartbeat_interval=INTERVAL, name="old")
    try:
        await worker.start()
        query(url, "update pgflow.workers set deprecated_at = now()")
        async with asyncio.timeout(DEADLINE_SECONDS):
            await worker.wait()
    finally:
        telemetry.detach("tests")
    about = {"worker_id": worker._worker_ids["idle"], "worker_name": "old", "flow_slug": "idle"}
    assert told == [("worker.start", about), ("worker.stop", {**about, "stop_reason": "deprecated"})]
    assert (worker.state, worker.stop_reason) == (WorkerState.STOPPED, "deprecated")
    assert query(url, "select stopped_at is not null as stopped from pgflow.workers") == [{"stopped": True}]
    await worker.stop()


async def test_stalled_tasks_are_put_back_with_a_heartbeat(app: PgFlow, url: str) -> None:
    flow = idle_flow()
    await app.ensure_compiled(flow)
    run = await app.start_flow(flow, 1)
    query(url, "select pgflow.register_worker(%s, 'idle', 'dead')", dead := uuid4())
    query(url, "select * from pgflow.fetch_tasks('idle', %s, 1)", dead)
    query(url, "update pgflow.step_tasks set queued_at = now() - interval '1 h', started_at = now() - interval '1 h'")
    async with working(app, flow, heartbeat_interval=INTERVAL, recovery_interval=INTERVAL):
        assert (await run.wait(DEADLINE_SECONDS)).status == "completed"


@pytest.mark.feature("A1.3")
@pytest.mark.parametrize("option", [{"heartbeat_interval": 0}, {"heartbeat_interval": 21}, {"recovery_interval": 0}])
def test_intervals_that_make_no_sense_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        Worker(PgFlow("postgresql://nowhere"), [idle_flow()], **option)


class TestAThreadAlone:
    """The thread without a worker around it."""

    def test_it_comes_back_after_its_connection_was_lost(self, newest_database_url: str) -> None:
        with beating(newest_database_url):
            wait_for_heartbeats(newest_database_url)
            with as_superuser(newest_database_url, autocommit=True) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )
            wait_for_heartbeats(newest_database_url)

    def test_a_long_outage_is_told_once_and_its_end_too(
        self, newest_database_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "pgflow.worker")
        refusals = 0

        def connect() -> psycopg.Connection[tuple[Any, ...]]:
            nonlocal refusals
            if refusals < 20:
                refusals += 1
                raise psycopg.OperationalError("sorry, too many clients already")
            return psycopg.connect(newest_database_url, autocommit=True)

        with beating(newest_database_url, connect, interval=0.005):
            wait_for(lambda: query(newest_database_url, "select worker_id from pgflow.workers"), "a heartbeat")
        messages = [record.getMessage() for record in caplog.records]
        assert messages == [
            "heartbeats fail; the worker goes on: sorry, too many clients already",
            "over after 0 s: heartbeats fail; the worker goes on",
        ]

    async def test_its_end_does_not_wait_for_a_database_that_does_not_answer(self, newest_database_url: str) -> None:
        entered, released = threading.Event(), threading.Event()

        def connect() -> psycopg.Connection[tuple[Any, ...]]:
            entered.set()
            released.wait(DEADLINE_SECONDS)
            raise psycopg.OperationalError("too late")

        with beating(newest_database_url, connect, end=False) as thread:
            await eventually(entered.is_set, "it connects")
            began = time.monotonic()
            await thread.stop()
            assert time.monotonic() - began < 10
            released.set()

    def test_being_asked_to_leave_is_told_with_every_heartbeat(self, newest_database_url: str) -> None:
        heard: list[list[UUID]] = []
        with beating(newest_database_url, on_deprecated=heard.append):
            wait_for_heartbeats(newest_database_url, 1)
            query(newest_database_url, "update pgflow.workers set deprecated_at = now()")
            wait_for(lambda: len(heard) >= 2, "it is asked twice")
        assert heard[0] == heard[1]


@contextmanager
def beating(
    url: str,
    connect: Callable[[], psycopg.Connection[tuple[Any, ...]]] | None = None,
    *,
    interval: float = INTERVAL,
    on_deprecated: Callable[[Any], object] = lambda _: None,
    end: bool = True,
) -> Iterator[HeartbeatThread]:
    """Run the thread of one worker."""
    thread = HeartbeatThread(
        connect or (lambda: psycopg.connect(url, autocommit=True)),
        {uuid4(): "queue"},
        "tests",
        interval=interval,
        recovery_interval=interval,
        on_deprecated=lambda worker_ids: void(on_deprecated(worker_ids)),
    )
    query(url, "select pgflow.register_worker(%s, 'queue', 'tests')", next(iter(thread._workers)))
    if connect is not None:
        query(url, "delete from pgflow.workers")
    thread.start()
    yield thread
    if end:
        asyncio.run(thread.stop())
        assert not thread._thread.is_alive()


def void(_: object) -> None:
    """Forget what something has returned."""


def idle_flow(slug: str = "idle") -> Flow:
    flow = Flow(slug)

    @flow.step
    def step(value: int) -> int:
        return value

    return flow
