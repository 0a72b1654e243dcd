"""A worker behind PgBouncer in transaction mode, where every statement may run in another session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import psycopg
import pytest

from pgflow import Flow, HealthStatus, PgFlow
from pooler import PROGRAM, Pooler
from servers import Server
from worker import effects
from worker.running import DEADLINE_SECONDS, QUICK, eventually, query

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


@pytest.fixture
def pooler(newest_server: Server) -> Iterator[Pooler]:
    with Pooler(newest_server) as pooler:
        yield pooler


@pytest.fixture
def pooled_url(pooler: Pooler, newest_database_url: str) -> str:
    return pooler.url(str(psycopg.conninfo.conninfo_to_dict(newest_database_url)["dbname"]))


def summing() -> Flow:
    flow = Flow("summing", base_delay=0)

    @flow.step
    def numbers(count: int) -> list[int]:
        return list(range(count))

    @flow.map(over=numbers)
    async def double(number: int) -> int:
        await asyncio.sleep(0.002)
        return 2 * number

    @flow.step
    def total(double: list[int]) -> int:
        return sum(double)

    return flow


async def test_client_and_worker_work_through_it(pooled_url: str, newest_database_url: str) -> None:
    flow = summing()
    async with PgFlow(pooled_url, flows=[flow]) as app:
        await app.start_worker(poll_interval=QUICK, heartbeat_interval=0.02, recovery_interval=0.02)
        runs = await app.start_flows(flow, [20] * 5)
        assert [await run.result(DEADLINE_SECONDS) for run in runs] == [{"total": 380}] * 5
        assert (await app.health_check()).status == HealthStatus.OK
    stopped = query(newest_database_url, "select stopped_at is not null as stopped from pgflow.workers")
    assert stopped == [{"stopped": True}]


async def test_sessions_are_left_as_they_were(pooled_url: str) -> None:
    flow = summing()
    async with PgFlow(pooled_url, flows=[flow]) as app:
        await app.start_worker(poll_interval=QUICK, heartbeat_interval=0.02)
        for _ in range(7):  # more often than psycopg would need to prepare a statement
            await (await app.start_flow(flow, 3)).result(DEADLINE_SECONDS)
    changed = "select name from pg_settings where source = 'session'"
    assert query(pooled_url, "select name from pg_prepared_statements") == []
    own = {"application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"}
    assert {row["name"] for row in query(pooled_url, changed)} <= own, "what the pooler itself keeps track of"


async def test_work_goes_on_when_the_pooler_was_killed(
    pooler: Pooler, pooled_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    flow = summing()
    async with PgFlow(pooled_url, flows=[flow]) as app:
        await app.start_worker(poll_interval=QUICK, heartbeat_interval=0.02)
        run = await app.start_flow(flow, 200)
        for _ in range(2):
            before = completed(pooled_url)
            await eventually(lambda before=before: completed(pooled_url) > before + 20, "some tasks are completed")  # type: ignore[misc]
            await asyncio.to_thread(pooler.restart)
        assert await run.result(DEADLINE_SECONDS) == {"total": 200 * 199}
    assert {row["attempts_count"] for row in query(pooled_url, "select attempts_count from pgflow.step_tasks")} == {1}
    assert len(caplog.records) < 50


def completed(url: str) -> int:
    return int(query(url, "select count(*) from pgflow.step_tasks where status = 'completed'")[0]["count"])


async def test_handlers_commit_their_writes_through_it(pooled_url: str, newest_database_url: str) -> None:
    query(newest_database_url, "create table effects (kind text, number int)")
    async with PgFlow(pooled_url, flows=[effects.flow]) as app:
        await app.start_worker(poll_interval=QUICK)
        run = await app.start_flow(effects.flow, list(range(20)))
        assert (await run.wait(DEADLINE_SECONDS)).status == "completed"
    assert effects.numbers(newest_database_url) == sorted([*range(20)] * 2)
