"""The reference's client starts runs, and follows them by the events that the schema sends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from interop import flows
from interop.reference import run_program
from pgflow import Flow, PgFlow
from worker.running import eventually, query, working

# Stands for what Supabase's platform does with broadcasts.
REALTIME = """
create schema realtime;
create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language sql as $$
  select pg_notify('realtime', jsonb_build_object(
    'type', 'broadcast', 'topic', topic, 'event', event, 'payload', payload)::text)
$$;
"""

failing = Flow("failing", max_attempts=1)


@failing.step
async def only(value: Any) -> None:
    raise ValueError("no")


@pytest.fixture
def url(database_url: str) -> str:
    query(database_url, REALTIME)
    return database_url


async def watched(url: str, flow: Flow, value: Any) -> list[dict[str, Any]]:
    """Let the reference's client start a run that Python works, and return what it prints."""
    async with PgFlow(url) as app:
        await app.ensure_compiled(flow)
        async with working(app, flow):
            printed = await asyncio.to_thread(run_program, "watch.ts", flow.slug, json.dumps(value), url=url)
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.compatible("typescript", "start_flow_with_states", "get_run_with_states", "events")
async def test_the_client_of_typescript_follows_a_run_by_its_events(url: str) -> None:
    *events, followed, found = await watched(url, flows.elements, [1, 2, 3])
    kinds = [(each["event"]["event_type"], each["event"].get("step_slug")) for each in events]
    assert kinds == [
        ("run:started", None),
        ("step:started", "element"),
        ("step:completed", "element"),
        ("step:started", "total"),
        ("step:completed", "total"),
        ("run:completed", None),
    ]
    elements = [{"number": number, "by": "python"} for number in (1, 2, 3)]
    assert followed == {
        "status": "completed",
        "output": {"total": 6},
        "error": None,
        "steps": {"element": ["completed", elements], "total": ["completed", 6]},
    }
    assert found == {"status": "completed", "output": {"total": 6}, "step": "completed"}


@pytest.mark.compatible("typescript", "start_flow_with_states", "events")
async def test_the_client_of_typescript_hears_why_a_run_failed(url: str) -> None:
    *events, followed, _ = await watched(url, failing, {})
    assert [each["event"]["event_type"] for each in events][-2:] == ["step:failed", "run:failed"]
    assert (followed["status"], followed["error"]) == ("failed", "ValueError: no")
    assert followed["steps"] == {"only": ["failed", None]}


@pytest.mark.compatible("typescript", "events", "runs that are cancelled and retried")
async def test_the_client_of_typescript_hears_that_a_run_was_cancelled(url: str) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(failing)
        watching = asyncio.create_task(asyncio.to_thread(run_program, "watch.ts", failing.slug, "{}", url=url))
        await eventually(lambda: query(url, "select run_id from pgflow.runs"), "the run is started")
        (row,) = query(url, "select run_id from pgflow.runs")
        assert await app.cancel_run(row["run_id"], reason="no time") == "cancelled"
        followed = json.loads((await watching).splitlines()[-2])
    assert (followed["status"], followed["error"]) == ("failed", "Run cancelled: no time")
