"""Waiting through a connection pooler, and through restarts of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from client.flows import greeting
from client.listening import DEADLINE_SECONDS, eventually, listening, sessions, subscribed, trust_notifications
from client.workbench import Workbench
from pgflow import PgFlow, sync
from pgflow.listening import listener
from pooler import PROGRAM, Pooler
from servers import Server

POOLER_WARNING = (
    "can't listen for notifications, looking now and then instead: there is a connection pooler in between;"
    " name a direct connection with listen_url, or the same one if it keeps sessions"
)

needs_pooler = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


@pytest.fixture
def pooler(newest_server: Server) -> Iterator[Pooler]:
    with Pooler(newest_server) as pooler:
        yield pooler


def database_of(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


@needs_pooler
@pytest.mark.parametrize("kind", [PgFlow, sync.PgFlow], ids=["async", "sync"])
async def test_behind_a_pooler_waits_look_now_and_then_and_say_so_once(
    pooler: Pooler, shared_url: str, workbench: Workbench, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = kind(pooler.url(database_of(shared_url)))
    await call(app.ensure_compiled, greeting)
    run = await call(app.start_flow, greeting, 1)
    task = asyncio.create_task(call(run.wait, DEADLINE_SECONDS))
    await eventually(lambda: POOLER_WARNING in caplog.messages, "it says so")
    workbench.echo()
    assert (await task).status == "completed"
    assert caplog.messages.count(POOLER_WARNING) == 1
    await call(app.close)


async def call(method: Any, *arguments: Any) -> Any:
    """Call a method of either client."""
    if asyncio.iscoroutinefunction(method):
        return await method(*arguments)
    return await asyncio.to_thread(method, *arguments)


@needs_pooler
async def test_behind_a_pooler_a_direct_url_listens(
    pooler: Pooler, shared_url: str, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust_notifications(monkeypatch)
    async with PgFlow(pooler.url(database_of(shared_url)), listen_url=shared_url) as app:
        await app.ensure_compiled(greeting)
        run = await app.start_flow(greeting, 1)
        task = asyncio.create_task(run.wait())
        await listening(app)
        workbench.echo()
        assert (await task).status == "completed"
        assert len(sessions(shared_url)) == 1


@needs_pooler
async def test_a_pooler_that_keeps_sessions_can_be_named(
    newest_server: Server, shared_url: str, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_SETTLING_SECONDS", 0.0)
    with Pooler(newest_server, mode="session") as pooler:
        url = pooler.url(database_of(shared_url))
        async with PgFlow(url, listen_url=url) as app, subscribed(app.database.watcher.listener) as payloads:
            workbench.connection.execute("select pg_notify('pgflow_runs', 'x')")
            await eventually(lambda: "x" in payloads, "it hears")


@needs_pooler
async def test_a_pooler_that_keeps_no_sessions_is_found_out_when_named(
    pooler: Pooler, shared_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "_RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr("pgflow.listening.session._ANSWER_SECONDS", 0.2)
    url = pooler.url(database_of(shared_url))
    async with PgFlow(shared_url, listen_url=url) as app:
        await app.open()
        with app.database.watcher.listener.subscribe("runs", lambda payload: None), psycopg.connect(url) as other:
            await eventually(lambda: sessions_through(pooler, shared_url), "it listens")
            await eventually(lambda: take_a_server(other) or caplog.messages, "it is found out")
    assert caplog.messages[0].endswith("a notification sent to itself did not arrive")


def sessions_through(pooler: Pooler, url: str) -> bool:
    with psycopg.connect(url) as connection:
        return bool(connection.execute("select from pgflow.listeners").fetchall())


def take_a_server(connection: psycopg.Connection[Any]) -> None:
    """Hold one of the pooler's servers in a transaction, another one if possible."""
    connection.rollback()
    connection.execute("select 1")


@pytest.mark.slow
async def test_waits_survive_a_restart_of_the_server(newest_server: Server) -> None:
    server = Server(newest_server.version, newest_server.binaries)
    try:
        url = server.url(server.template())
        async with PgFlow(url) as app:
            await app.ensure_compiled(greeting)
            runs = await app.start_flows(greeting, [1, 2])
            waits = [asyncio.create_task(run.result()) for run in runs]
            events = asyncio.create_task(last_event(runs[0]))
            await listening(app)
            await asyncio.to_thread(server._run, "pg_ctl", "-w", "-m", "immediate", "restart")
            with psycopg.connect(url, autocommit=True) as connection:
                Workbench(connection).echo()
            async with asyncio.timeout(DEADLINE_SECONDS):
                assert await asyncio.gather(*waits) == [{"greet": 1}, {"greet": 2}]
                assert (await events).event_type == "run:completed"
                await listening(app)
    finally:
        await asyncio.to_thread(server.stop)


async def last_event(run: Any) -> Any:
    return [event async for event in run.events()][-1]
