"""What a worker cleans up: runs beyond their retention, messages that announce nothing any more."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from pgflow import ConnectionLost, Flow, PgFlow
from pgflow.worker import maintenance
from pgflow.worker.service import PeriodicService
from pgflow.worker.worker import Worker
from worker.running import DEADLINE_SECONDS, ended, eventually, query, working


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_INTERVAL", "_FIRST", "_PAUSE"):
        monkeypatch.setattr(maintenance, name, 0.02)
    monkeypatch.setattr(maintenance, "_BATCH", 2)


def doubling(slug: str) -> Flow:
    flow = Flow(slug)

    @flow.step
    def double(value: int) -> int:
        return 2 * value

    return flow


def runs(url: str, slug: str) -> int:
    return int(query(url, "select count(*) from pgflow.runs where flow_slug = %s", slug)[0]["count"])


async def test_runs_that_ended_long_ago_are_deleted_and_others_kept(
    app: PgFlow, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pgflow.worker")
    mine, other = doubling("mine"), doubling("other")
    async with working(app, mine, other):
        for flow in (mine, other):
            for run in await app.start_flows(flow, range(7)):
                await run.wait(DEADLINE_SECONDS)
    query(
        url,
        "update pgflow.runs set started_at = started_at - interval '2 d', completed_at = completed_at - interval '2 d'"
        " where (input #>> '{}')::int < 5",
    )
    async with working(app, mine, retention=timedelta(days=1)):
        await eventually(lambda: "deleted 5 runs that ended more than 1 day, 0:00:00 ago" in caplog.messages, "done")
        assert (await ended(app, mine, 1)).status == "completed"
    assert (runs(url, "mine"), runs(url, "other")) == (3, 7)


@pytest.mark.parametrize("keep", [timedelta(0), timedelta(days=-1)])
async def test_a_retention_that_would_delete_everything_is_refused(app: PgFlow, keep: timedelta) -> None:
    with pytest.raises(ValueError, match="retention must be positive"):
        Worker(app, [doubling("mine")], retention=keep)


async def test_messages_that_announce_nothing_are_archived_and_not_read_for_ever(app: PgFlow, url: str) -> None:
    flow = doubling("orphans")
    await app.ensure_compiled(flow)
    message = '{"flow_slug": "orphans", "run_id": "00000000-0000-0000-0000-000000000000", "step_slug": "double"}'
    query(url, "select pgmq.send('orphans', %s::jsonb)", message)
    query(url, "select pgmq.send('orphans', '{}'::jsonb)")
    async with working(app, flow):
        assert (await ended(app, flow, 1)).status == "completed"
        await eventually(lambda: query(url, "select msg_id from pgmq.q_orphans") == [], "the queue is empty")
    assert query(url, "select count(*) from pgmq.a_orphans") == [{"count": 3}]


class TestPeriodicService:
    async def test_an_outage_is_told_once_and_its_end_too(self, caplog: pytest.LogCaptureFixture) -> None:
        left, again = 10, asyncio.Event()

        async def tick() -> None:
            nonlocal left
            left -= 1
            if left > 0:
                raise ConnectionLost("away")
            again.set()

        service = PeriodicService("sweeping", 0.001, tick)
        service.start()
        await asyncio.wait_for(again.wait(), DEADLINE_SECONDS)
        await service.stop()
        assert caplog.messages == [
            "sweeping of the worker failed; it goes on: away",
            "over after 0 s: sweeping of the worker failed; it goes on",
        ]

    async def test_a_defect_is_logged_and_the_service_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        calls = 0
        enough = asyncio.Event()

        async def tick() -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                enough.set()
            raise KeyError("defect")

        service = PeriodicService("sweeping", 0.001, tick, first=0)
        service.start()
        await asyncio.wait_for(enough.wait(), DEADLINE_SECONDS)
        await service.stop()
        assert "sweeping failed and goes on" in caplog.messages

    def test_an_interval_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="the interval of sweeping must be positive"):
            PeriodicService("sweeping", 0, asyncio.sleep)  # type: ignore[arg-type]
