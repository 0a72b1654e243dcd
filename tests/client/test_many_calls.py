"""Thousands of calls at once on few connections: none is lost, and waiting costs little."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from client.flows import greeting
from conftest import as_superuser
from pgflow import ConnectionLost, FlowDefinition, PgFlow, calls, sync

CALLS = 10_000
BYTES_PER_CALL = 20_000


@pytest.fixture
def impatient_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools that give a connection within one and a half seconds or say that they can't."""
    for kind in (AsyncConnectionPool, ConnectionPool):
        monkeypatch.setattr(kind, "timeout", property(lambda _pool: 1.5, lambda _pool, _seconds: None), raising=False)
        monkeypatch.setattr(kind, "_timeout", 1.5, raising=False)


@pytest.mark.slow
async def test_ten_thousand_calls_at_once_are_all_carried_out(shared_url: str) -> None:
    async with PgFlow(shared_url, pool_size=4) as client:
        await client.ensure_compiled(greeting)
        tracemalloc.start()
        try:
            runs = await asyncio.gather(*(client.start_flow(greeting, number) for number in range(CALLS)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert [run.input for run in runs] == list(range(CALLS))
        assert await client.count_runs() == CALLS
        assert peak < CALLS * BYTES_PER_CALL


def test_threads_wait_for_their_turn(shared_url: str, impatient_pools: None) -> None:
    with sync.PgFlow(shared_url, pool_size=1) as client, ThreadPoolExecutor(50) as threads:
        client.ensure_compiled(greeting)
        runs = list(threads.map(lambda number: client.start_flow(greeting, number), range(2000)))
        assert client.count_runs() == len({run.run_id for run in runs}) == 2000


async def test_calls_wait_while_others_work_however_long(shared_url: str, impatient_pools: None) -> None:
    async with PgFlow(shared_url, pool_size=1) as client:
        await client.ensure_compiled(greeting)
        slow = asyncio.create_task(client.database.run(calls.Call("select pg_sleep(2)::text", (), len)))
        assert len(await asyncio.gather(*(client.start_flow(greeting, number) for number in range(20)))) == 20
        assert await slow == 1


async def test_an_outage_ends_all_who_wait_for_a_connection(
    shared_url: str, shared_connection: psycopg.Connection[Any], impatient_pools: None
) -> None:
    async with PgFlow(shared_url, pool_size=2) as client:
        await client.ensure_compiled(greeting)
        [name] = shared_connection.execute("select current_database()").fetchone() or [""]
        with as_superuser(shared_url.replace(f"/{name}", "/postgres"), autocommit=True) as server:
            server.execute(f"alter database {name} with allow_connections false")
            try:
                shared_connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )
                started = time.monotonic()
                answers = await asyncio.gather(*(client.get_flow(greeting) for _ in range(200)), return_exceptions=True)
                assert {type(answer) for answer in answers} == {ConnectionLost}
                assert time.monotonic() - started < 20
            finally:
                server.execute(f"alter database {name} with allow_connections true")
        assert (await patiently(client)).slug == "greeting"


async def patiently(client: PgFlow) -> FlowDefinition:
    """Ask until the pool has a connection again."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await client.get_flow(greeting)
            except ConnectionLost:
                continue


async def test_a_client_closed_under_waiting_calls_ends_them_all(shared_url: str) -> None:
    client = PgFlow(shared_url, pool_size=1)
    await client.ensure_compiled(greeting)
    starts = [asyncio.create_task(client.start_flow(greeting, number)) for number in range(50)]
    await asyncio.sleep(0)
    await client.close()
    answers = await asyncio.gather(*starts, return_exceptions=True)
    lost = [answer for answer in answers if isinstance(answer, BaseException)]
    assert {type(answer) for answer in lost} <= {ConnectionLost}
    assert await client.count_runs() >= len(answers) - len(lost)
    await client.close()
