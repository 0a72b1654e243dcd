"""A client whose role may only start runs: it starts them, waits for them, and is refused the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from client.flows import greeting
from client.workbench import Workbench
from pgflow import FlowNotFound, NotGranted, PgFlow, Run, RunNotFound, Worker, sync
from roles import granted_role
from servers import Server


@pytest.fixture
async def owner_url(newest_database_url: str) -> str:
    async with PgFlow(newest_database_url) as owner:
        await owner.ensure_compiled(greeting)
    return newest_database_url


@pytest.fixture
def starter_url(newest_server: Server, owner_url: str) -> Iterator[str]:
    """The URL for a starter, of a database where the owner has registered the flow `greeting`."""
    name = psycopg.conninfo.conninfo_to_dict(owner_url)["dbname"]
    with granted_role(newest_server, str(name), "starter") as url:
        yield url


async def test_it_starts_runs_and_waits_for_them(owner_url: str, starter_url: str) -> None:
    async with PgFlow(starter_url) as app:
        run = await app.start_flow(greeting, {"name": "Ada"}, run_id=uuid4())
        others = await app.start_flows("greeting", [{"name": "Grace"}, {"name": "Mary"}])
        assert len((await app.get_run_with_states(run.run_id)).steps) == len(greeting.shape["steps"])
        assert await run.read_progress()
        with psycopg.connect(owner_url, autocommit=True) as owner:
            await asyncio.to_thread(Workbench(owner).echo)
        assert await run.result(10)
        assert [(await other.wait(10)).status for other in others] == ["completed"] * 2
        assert (await app.get_run(run.run_id)).input == {"name": "Ada"}


async def test_it_finds_its_runs_again_by_their_keys_and_lists_none(starter_url: str) -> None:
    async with PgFlow(starter_url) as app:
        run = await app.start_flow(greeting, {"name": "Ada"}, key="order 7", tags=["x"])
        assert (await app.start_flow(greeting, {"name": "Ada"}, key="order 7")).run_id == run.run_id
        assert (await app.get_run_by_key(greeting, "order 7")).run_id == run.run_id
        assert await run.read_tags() == ("x",)
        with pytest.raises(NotGranted):
            await app.list_runs(tags=["x"])


async def test_its_health_check_says_nothing_of_queues(starter_url: str) -> None:
    async with PgFlow(starter_url, flows=[greeting]) as app:
        health = await app.health_check()
    assert (health.status, dict(health.queues)) == ("ok", {})


def test_the_blocking_client_does_too(starter_url: str) -> None:
    with sync.PgFlow(starter_url) as app:
        run: sync.Run = app.start_flow("greeting", {"name": "Ada"})
        assert app.get_run(run.run_id).status == "started"


async def test_it_is_told_what_isn_t_there(starter_url: str) -> None:
    async with PgFlow(starter_url) as app:
        with pytest.raises(FlowNotFound):
            await app.start_flow("unknown", {})
        with pytest.raises(RunNotFound):
            await app.get_run(uuid4())


async def test_it_registers_no_flow_and_works_no_task(starter_url: str) -> None:
    async with PgFlow(starter_url) as app:
        run: Run = await app.start_flow(greeting, {"name": "Ada"})
        with pytest.raises(NotGranted, match=r"permission denied for function compare_flow; .*grant_worker"):
            await app.ensure_compiled(greeting)
        with pytest.raises(NotGranted):
            await Worker(app, [greeting]).start()
        assert (await run.refresh()).status == "started"
