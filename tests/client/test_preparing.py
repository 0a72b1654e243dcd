"""Calls made often are prepared where a connection leads to the server itself, and nobody notices when that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from client.flows import greeting
from pgflow import PgFlow, calls, sync
from pgflow._async import preparing
from pgflow.calls import Call
from pooler import PROGRAM, Pooler
from servers import Server

BOTH = pytest.mark.parametrize("kind", [PgFlow, sync.PgFlow], ids=["async", "sync"])
OFTEN = preparing.CALLS_BEFORE_PREPARING + 2


async def run(app: Any, call: Call[Any]) -> Any:
    """Run a call on the pool of either client."""
    answer = app.database.run(call)
    return await answer if hasattr(answer, "__await__") else answer


async def often(app: Any, call: Call[Any]) -> Any:
    """Run a call often enough for it to be prepared, and return the last answer."""
    for _ in range(OFTEN):
        answer = await run(app, call)
    return answer


async def close(app: Any) -> None:
    answer = app.close()
    if hasattr(answer, "__await__"):
        await answer


def query(statement: str) -> Call[list[Any]]:
    return Call(statement, (), lambda rows: [row[0] for row in rows])


PREPARED = query("select statement from pg_prepared_statements where position('pg_prepared' in statement) = 0")


def call_of_function(url: str, body: str) -> Call[list[Any]]:
    """Return the call of a new function that does this."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create function public.act() returns void language plpgsql as $$ begin {body}; end $$")
    return query("select public.act()")


@BOTH
async def test_what_is_called_often_is_prepared_and_nothing_else(newest_database_url: str, kind: Any) -> None:
    app = kind(newest_database_url, pool_size=1)
    await run(app, calls.list_flows())
    await often(app, calls.flow_exists("greeting"))
    assert await run(app, PREPARED) == [calls.flow_exists("").numbered()]
    await close(app)


@BOTH
async def test_a_session_that_has_forgotten_its_statements_is_used_as_it_is(
    newest_database_url: str, kind: Any
) -> None:
    app = kind(newest_database_url, pool_size=1)
    await often(app, calls.flow_exists("greeting"))
    await run(app, call_of_function(newest_database_url, "execute 'deallocate all'"))
    assert await run(app, calls.flow_exists("greeting")) is False
    assert await often(app, calls.flow_exists("greeting")) is False
    assert await run(app, PREPARED) == []
    await close(app)


@BOTH
async def test_a_statement_whose_name_is_taken_is_run_as_it_is(newest_database_url: str, kind: Any) -> None:
    app = kind(newest_database_url, pool_size=1)
    await run(app, call_of_function(newest_database_url, "execute 'prepare _pg3_0 as select 1'"))
    assert await often(app, calls.flow_exists("greeting")) is False
    await close(app)


@BOTH
async def test_a_migration_that_changes_the_type_of_an_answer_is_no_error(newest_database_url: str, kind: Any) -> None:
    app = kind(newest_database_url, pool_size=1)
    with psycopg.connect(newest_database_url, autocommit=True) as migration:
        migration.execute("create function public.answer() returns int language sql as 'select 1'")
        assert await often(app, query("select public.answer()")) == [1]
        migration.execute("drop function public.answer()")
        migration.execute("create function public.answer() returns text language sql as $$ select 'one' $$")
        assert await run(app, query("select public.answer()")) == ["one"]
    await close(app)


async def test_an_error_that_lasts_is_raised_and_only_the_first_of_a_prepared_statement_is_doubted(
    newest_database_url: str,
) -> None:
    with psycopg.connect(newest_database_url, autocommit=True) as connection:
        connection.execute("create sequence public.tries")
    refused = call_of_function(
        newest_database_url, "perform nextval('public.tries'); raise feature_not_supported using message = 'not here'"
    )
    async with PgFlow(newest_database_url, pool_size=1) as app:
        for _ in range(OFTEN + 3):
            with pytest.raises(Exception, match="not here"):
                await app.database.run(refused)
        assert await app.database.run(query("select last_value from public.tries")) == [OFTEN + 3 + 1]


async def test_runs_are_started_by_many_at_once_on_prepared_statements(newest_database_url: str) -> None:
    async with PgFlow(newest_database_url, pool_size=3) as app:
        await app.ensure_compiled(greeting)
        runs = await asyncio.gather(*(app.start_flow(greeting, number) for number in range(60)))
        assert [run.input for run in runs] == list(range(60))
        assert len({run.run_id for run in runs}) == 60


async def test_a_connection_keeps_neither_answers_nor_arguments(newest_database_url: str) -> None:
    async with PgFlow(newest_database_url, pool_size=1) as app:
        given = [f"{number:01000}" for number in range(OFTEN)]
        for text in given:
            call = Call("select %s::text from generate_series(1, 100)", (text,), len)
            assert await app.database.run(call) == 100
        async with app.database._connection() as connection:
            [cursor] = connection._cursors.values()
        assert cursor.pgresult is not None
        assert cursor.pgresult.ntuples == 0
        assert cursor._query is None


async def test_one_statement_takes_arguments_of_other_types_each_time(newest_database_url: str) -> None:
    async with PgFlow(newest_database_url, pool_size=1) as app:
        for given in [1, None, 2**40, None, 3] * OFTEN:
            call = Call("select %s::bigint", (given,), lambda rows: rows[0][0])
            assert await app.database.run(call) == given


async def test_connections_of_callers_prepare_what_their_owners_want(newest_database_url: str) -> None:
    async with PgFlow(newest_database_url) as app:
        await app.ensure_compiled(greeting)
        async with await psycopg.AsyncConnection.connect(newest_database_url, prepare_threshold=None) as mine:
            for number in range(OFTEN):
                await app.start_flow(greeting, number, conn=mine)
            cursor = await mine.execute("select count(*) from pg_prepared_statements")
            assert await cursor.fetchone() == (0,)


@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
class TestBehindAPooler:
    @pytest.fixture(params=["transaction", "session"])
    def pooled_url(self, newest_server: Server, newest_database_url: str, request: Any) -> Iterator[str]:
        with Pooler(newest_server, request.param) as pooler:
            yield pooler.url(str(psycopg.conninfo.conninfo_to_dict(newest_database_url)["dbname"]))

    @BOTH
    async def test_nothing_is_prepared(self, pooled_url: str, kind: Any) -> None:
        app = kind(pooled_url, pool_size=1)
        await often(app, calls.flow_exists("greeting"))
        assert await run(app, PREPARED) == []
        await close(app)
