"""Connections of callers in unusual states and settings, and things that are none."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import asyncpg
import django.conf
import psycopg
import psycopg2.extras
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from client.callers import CALLERS, Caller, sqlalchemy_url, use_django
from client.flows import greeting
from pgflow import (
    Flow,
    InvalidInput,
    NotInstalled,
    PgFlow,
    RunNotFound,
    SchemaError,
    UnusableConnection,
    WaitTimeout,
    sync,
)
from servers import Server

VALUE = {"name": "Ada", "ü": [1, None]}
COUNT = "select count(*) from pgflow.runs"


@pytest.fixture
def blocking(shared_url: str) -> Iterator[sync.PgFlow]:
    """A client that blocks; its database has `greeting`."""
    with sync.PgFlow(shared_url) as client:
        client.ensure_compiled(greeting)
        yield client


@pytest.fixture
async def asynchronous(blocking: sync.PgFlow, shared_url: str) -> Any:
    """An async client of the same database."""
    async with PgFlow(shared_url) as client:
        yield client


def count_runs(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute(COUNT).fetchone()[0]


def psycopg_with(**options: Any) -> Callable[[str], Any]:
    return lambda url: psycopg.connect(url, **options)


def psycopg_in_ascii(url: str) -> Any:
    return psycopg.connect(url, client_encoding="SQL_ASCII")


def with_its_own_loaders(url: str) -> Any:
    connection = psycopg.connect(url)
    connection.adapters.register_loader("jsonb", psycopg.types.string.TextLoader)
    connection.adapters.register_loader("uuid", psycopg.types.string.TextLoader)
    connection.adapters.register_loader("timestamptz", psycopg.types.string.TextLoader)
    return connection


def in_another_time_zone(url: str) -> Any:
    return psycopg.connect(url, options="-c timezone=Asia/Kathmandu -c datestyle=German")


def psycopg2_with_dicts(url: str) -> Any:
    return psycopg2.connect(url, cursor_factory=psycopg2.extras.RealDictCursor)


def sqlalchemy_with_json_of_its_own(url: str) -> Any:
    refuse = pytest.fail
    engine = sqlalchemy.create_engine(
        sqlalchemy_url(url, "psycopg"), json_serializer=refuse, json_deserializer=refuse, poolclass=sqlalchemy.NullPool
    )
    return engine.connect()


def sqlalchemy_with_streamed_results(url: str) -> Any:
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg2"), poolclass=sqlalchemy.NullPool)
    return engine.connect().execution_options(stream_results=True, yield_per=1)


@pytest.mark.parametrize(
    "connect",
    [
        pytest.param(psycopg_with(row_factory=psycopg.rows.dict_row), id="rows as dicts"),
        pytest.param(psycopg_with(row_factory=psycopg.rows.scalar_row), id="rows as scalars"),
        pytest.param(psycopg_with(cursor_factory=psycopg.RawCursor), id="raw cursors"),
        pytest.param(psycopg_with(cursor_factory=psycopg.ClientCursor), id="client cursors"),
        pytest.param(psycopg_with(prepare_threshold=0), id="prepared"),
        pytest.param(psycopg_with(prepare_threshold=None), id="unprepared"),
        psycopg_in_ascii,
        with_its_own_loaders,
        in_another_time_zone,
        psycopg2_with_dicts,
        sqlalchemy_with_json_of_its_own,
        sqlalchemy_with_streamed_results,
    ],
)
def test_settings_of_a_connection_change_nothing(blocking: Any, shared_url: str, connect: Callable[[str], Any]) -> None:
    expected = blocking.start_flow(greeting, VALUE)
    conn = connect(shared_url)
    runs = [blocking.start_flow(greeting, VALUE, conn=conn), *blocking.start_flows(greeting, [VALUE, VALUE], conn=conn)]
    conn.commit()
    conn.close()
    assert [(run.input, type(run.run_id)) for run in runs] == [(VALUE, type(expected.run_id))] * 3
    assert all(run.started_at.tzinfo and run.started_at >= expected.started_at for run in runs)
    assert count_runs(shared_url) == 4


async def test_codecs_of_asyncpg_change_nothing(asynchronous: Any, shared_url: str) -> None:
    conn = await asyncpg.connect(shared_url)
    for name in ("json", "jsonb"):
        await conn.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    await conn.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)
    run = await asynchronous.start_flow(greeting, VALUE, conn=conn)
    assert (await run.refresh()).input == VALUE
    await conn.close()


@pytest.mark.parametrize("in_blocks", [True, False], ids=["in a block", "without a block"])
def test_a_pipeline_of_psycopg_is_no_obstacle(blocking: Any, shared_url: str, in_blocks: bool) -> None:
    with psycopg.connect(shared_url, autocommit=in_blocks) as conn, conn.pipeline():
        conn.execute("select 1")
        if in_blocks:
            with conn.transaction():
                assert blocking.start_flow(greeting, 1, conn=conn).input == 1
        else:
            assert blocking.start_flow(greeting, 1, conn=conn).input == 1
    assert count_runs(shared_url) == 1


def test_in_autocommit_mode_a_start_is_a_transaction_of_its_own(blocking: Any, shared_url: str) -> None:
    with psycopg.connect(shared_url, autocommit=True) as conn:
        blocking.start_flow(greeting, 1, conn=conn)
        assert count_runs(shared_url) == 1
        with suppress(ZeroDivisionError), conn.transaction():
            blocking.start_flow(greeting, 2, conn=conn)
            raise ZeroDivisionError
    assert count_runs(shared_url) == 1


def test_django_without_atomic_commits_at_once(blocking: Any, shared_url: str) -> None:
    connection = use_django(shared_url)
    blocking.start_flow(greeting, 1, conn=connection)
    connection.close()
    assert count_runs(shared_url) == 1


def test_django_without_time_zones_gives_instants_all_the_same(
    blocking: Any, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = use_django(shared_url, TIME_ZONE=None)
    monkeypatch.setattr(django.conf.settings, "USE_TZ", False)
    run = blocking.start_flow(greeting, 1, conn=connection)
    connection.close()
    assert run.started_at == run.refresh().started_at
    assert run.started_at.tzinfo is not None


async def test_django_in_async_code_says_what_to_do(asynchronous: Any, shared_url: str) -> None:
    connection = await asyncio.to_thread(use_django, shared_url)
    with pytest.raises(UnusableConnection, match="from an async context - use a thread or sync_to_async"):
        await asynchronous.start_flow(greeting, 1, conn=connection)


def test_a_named_connection_of_django_is_one_too(blocking: Any, shared_url: str) -> None:
    from django.db import connections

    use_django(shared_url)
    blocking.start_flow(greeting, 1, conn=connections["default"])
    connections["default"].close()
    assert count_runs(shared_url) == 1


@pytest.mark.parametrize(
    "kind",
    [kind for kind in CALLERS if kind.__name__ != "Django" and "Session" not in kind.__name__],
    ids=lambda kind: kind.__name__,
)
def test_a_closed_connection_is_refused(blocking: Any, shared_url: str, kind: type[Caller]) -> None:
    caller = kind(shared_url)
    caller.do(caller.rollback)
    caller.do(caller.close)
    with pytest.raises(UnusableConnection, match=r"closed|released back"):
        caller.start(greeting, 1)
    caller.do(caller.client.close)
    caller.loop.close()


@pytest.mark.parametrize("kind", CALLERS, ids=lambda kind: kind.__name__)
def test_a_database_without_the_schema_is_told_from_a_missing_flow(newest_server: Server, kind: type[Caller]) -> None:
    database = newest_server.create_database()
    caller = kind(newest_server.url(database))
    with pytest.raises(NotInstalled, match="run `pgflow migrate`"):
        caller.start(greeting, 1)
    caller.leave()
    newest_server.drop_database(database)


def test_a_role_without_rights_is_told_which(newest_server: Server, blocking: Any, shared_url: str) -> None:
    with newest_server.superuser() as superuser:
        superuser.execute("drop role if exists visitor")
        superuser.execute("create role visitor login")
    with (
        psycopg.connect(shared_url.replace("//app@", "//visitor@")) as conn,
        pytest.raises(SchemaError, match="grant_starter"),
    ):
        blocking.start_flow(greeting, 1, conn=conn)


async def test_the_blocking_client_awaits_nothing(blocking: Any, shared_url: str) -> None:
    conn = await psycopg.AsyncConnection.connect(shared_url)
    with pytest.raises(TypeError, match=r"psycopg AsyncConnection must be awaited: use pgflow\.PgFlow"):
        blocking.start_flow(greeting, 1, conn=conn)
    await conn.close()


async def test_the_inside_of_an_async_session_works_where_sqlalchemy_runs_it(blocking: Any, shared_url: str) -> None:
    engine = create_async_engine(sqlalchemy_url(shared_url, "asyncpg"))
    async with engine.begin() as conn:
        run = await conn.run_sync(lambda inside: blocking.start_flow(greeting, 1, conn=inside))
    assert (await asyncio.to_thread(run.refresh)).input == 1
    async with engine.connect() as conn:
        with pytest.raises(UnusableConnection, match="greenlet"):
            blocking.start_flow(greeting, 1, conn=conn.sync_connection)
    await engine.dispose()


def not_connections() -> Iterator[Any]:
    engine = sqlalchemy.create_engine("postgresql+psycopg://app@/x")
    pool: psycopg_pool.ConnectionPool[Any] = psycopg_pool.ConnectionPool("", open=False)
    for value in ("postgresql://app@/x", 0, False, "", [], object(), psycopg.Connection, engine, pool, asyncpg):
        yield pytest.param(value, id=str(type(value).__name__) + repr(value)[:5])


@pytest.mark.parametrize("value", list(not_connections()))
async def test_what_is_no_connection_is_refused(asynchronous: Any, blocking: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=r"conn must be an open connection .*psycopg Connection, .*, not "):
        await asynchronous.start_flow(greeting, 1, conn=value)
    with pytest.raises(TypeError, match="conn must be an open connection"):
        blocking.start_flows(greeting, [1], conn=value)


def test_another_database_is_refused(blocking: Any) -> None:
    with (
        Session(sqlalchemy.create_engine("sqlite://")) as session,
        pytest.raises(UnusableConnection, match="for sqlite, not for PostgreSQL"),
    ):
        blocking.start_flow(greeting, 1, conn=session)


def test_a_session_without_an_engine_is_refused(blocking: Any) -> None:
    with Session() as session, pytest.raises(UnusableConnection, match="not bound to a single Engine"):
        blocking.start_flow(greeting, 1, conn=session)


def test_an_unknown_driver_is_refused(blocking: Any, shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlalchemy.create_engine(
        sqlalchemy_url(shared_url, "psycopg"), poolclass=sqlalchemy.NullPool
    ).connect() as conn:
        monkeypatch.setattr(conn.dialect, "driver", "pg8000")
        with pytest.raises(UnusableConnection, match="uses pg8000; known drivers: asyncpg, psycopg, psycopg2"):
            blocking.start_flow(greeting, 1, conn=conn)


async def test_a_connection_that_is_busy_is_told_so(asynchronous: Any, shared_url: str) -> None:
    conn = await asyncpg.connect(shared_url)
    async with conn.transaction():
        busy = asyncio.ensure_future(conn.fetch("select pg_sleep(60)"))
        await asyncio.sleep(0)
        with pytest.raises(UnusableConnection, match="another operation is in progress"):
            await asynchronous.start_flow(greeting, 1, conn=conn)
        busy.cancel()
        await asyncio.wait({busy})
    await conn.close()


def test_an_error_of_the_database_that_is_no_mistake_of_the_caller_stays_itself(blocking: Any, shared_url: str) -> None:
    with psycopg.connect(shared_url) as conn:
        conn.execute("set local statement_timeout = '1ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            blocking.start_flows(greeting, [0] * 10_000, conn=conn)


async def test_many_callers_start_at_once(asynchronous: Any, shared_url: str) -> None:
    pool = await asyncpg.create_pool(shared_url, min_size=1, max_size=5)

    async def start(number: int) -> None:
        async with pool.acquire() as conn, conn.transaction():
            await asynchronous.start_flow(greeting, number, conn=conn)
            if number % 2:
                await conn.execute("select 1")

    await asyncio.gather(*(start(number) for number in range(200)))
    await pool.close()
    assert count_runs(shared_url) == 200


async def test_waiting_for_a_run_before_the_commit_finds_no_run(asynchronous: Any, shared_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(shared_url) as conn:
        run = await asynchronous.start_flow(greeting, 1, conn=conn)
        with pytest.raises(RunNotFound):
            await run.wait(5)
        await conn.commit()
        with pytest.raises(WaitTimeout):
            await run.wait(0)


def test_of_two_transactions_with_one_run_id_the_first_to_commit_has_it(blocking: Any, shared_url: str) -> None:
    run_id = uuid4()
    with psycopg.connect(shared_url) as first, psycopg.connect(shared_url) as second, ThreadPoolExecutor() as threads:
        blocking.start_flow(greeting, 1, run_id=run_id, conn=first)
        waiting = threads.submit(blocking.start_flow, greeting, 2, run_id=run_id, conn=second)
        until_waiting_for_a_lock(shared_url, second.info.backend_pid)
        first.commit()
        with pytest.raises(InvalidInput, match="is already in use"):
            waiting.result(10)
    assert blocking.get_run(run_id).input == 1


def test_of_two_transactions_with_one_run_id_the_second_has_it_if_the_first_gives_up(
    blocking: Any, shared_url: str
) -> None:
    run_id = uuid4()
    with psycopg.connect(shared_url) as first, psycopg.connect(shared_url) as second, ThreadPoolExecutor() as threads:
        blocking.start_flow(greeting, 1, run_id=run_id, conn=first)
        waiting = threads.submit(blocking.start_flow, greeting, 2, run_id=run_id, conn=second)
        until_waiting_for_a_lock(shared_url, second.info.backend_pid)
        first.rollback()
        assert waiting.result(10).input == 2
    assert blocking.get_run(run_id).input == 2


def until_waiting_for_a_lock(url: str, backend: int) -> None:
    deadline = time.monotonic() + 10
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute("select pg_blocking_pids(%s) = '{}'", [backend]).fetchone()[0]:
            assert time.monotonic() < deadline, "the second start doesn't wait"
            time.sleep(0.01)


async def test_a_worker_sees_a_run_when_it_is_committed(shared_url: str) -> None:
    flow = Flow("worked_later")

    @flow.step
    def double(number: int) -> int:
        return 2 * number

    async with PgFlow(shared_url, flows=[flow]) as app:
        await app.start_worker()
        async with await psycopg.AsyncConnection.connect(shared_url) as conn:
            unseen = await app.start_flow(flow, 3, conn=conn)
            seen = await app.start_flow(flow, 4)
            assert await seen.result(20) == {"double": 8}
            with pytest.raises(RunNotFound):
                await unseen.refresh()
        assert await unseen.result(20) == {"double": 6}


def test_a_pipeline_that_has_failed_is_no_place_to_start(blocking: Any, shared_url: str) -> None:
    with psycopg.connect(shared_url) as conn:
        with conn.pipeline():
            with pytest.raises(psycopg.errors.UndefinedTable):
                conn.execute("select * from missing_table").fetchall()
            with pytest.raises(UnusableConnection):
                blocking.start_flow(greeting, 1, conn=conn)
        conn.rollback()
        assert blocking.start_flow(greeting, 2, conn=conn).input == 2
