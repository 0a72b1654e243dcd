"""Databases that aren't there or aren't ready: one line that says what to do, from both clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from client.flows import each, greeting
from client.twins import Awaitable
from conftest import as_superuser
from pgflow import (
    ConnectionLost,
    Drifted,
    NotGranted,
    NotInstalled,
    PgFlow,
    PgFlowError,
    SchemaError,
    TooNew,
    TooOld,
    embedded,
    schema,
    sync,
)
from servers import Server

SECRET = "s3cret"


@pytest.fixture(params=["async", "sync"])
def make(request: pytest.FixtureRequest) -> Any:
    """Makes a client of either kind."""
    return PgFlow if request.param == "async" else lambda url: Awaitable(sync.PgFlow(url))


async def refusal(make: Any, url: str) -> PgFlowError:
    """Return what opening raises, and check what holds for all of them."""
    with pytest.raises(PgFlowError) as raised:
        await make(url).open()
    message = str(raised.value)
    assert "\n" not in message
    assert SECRET not in message
    return raised.value


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_a_port_where_nobody_listens(make, closed_port):
    error = await refusal(make, f"postgresql://me:{SECRET}@127.0.0.1:{closed_port}/app")
    assert isinstance(error, ConnectionLost)
    assert f"can't connect to database app on 127.0.0.1:{closed_port} as user me: " in str(error)
    assert "Connection refused; start the server there, or correct the URL in --url or PGFLOW_DATABASE_URL" in str(
        error
    )


async def test_a_folder_without_socket(make, tmp_path: Path):
    error = await refusal(make, f"postgresql:///app?host={tmp_path}&password={SECRET}")
    assert isinstance(error, ConnectionLost)
    assert "No such file" in str(error)


@pytest.mark.parametrize("host", ["does-not-exist.invalid", "a..b", "x" * 64 + ".invalid", "ü.invalid"])
async def test_a_host_that_does_not_exist(make, host):
    assert isinstance(await refusal(make, f"postgresql://me:{SECRET}@{host}/app"), ConnectionLost)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        f"mysql://me:{SECRET}@host/app",
        f"postgresql://me:{SECRET}%zz@host/app",
        f"postgresql://me:x@{SECRET}@host/app",
        f"postgresql://me:x?y@{SECRET}@host/app",
        f"postgresql://me:12/{SECRET}@host/app",
        f"host=somewhere password=two {SECRET}",
        f"postgresql://me:{SECRET}@host/app?nonsense=1",
        f"postgresql://me:{SECRET}@host/a\0b",
        f"postgresql://me:{SECRET}@host/a\ud800b",
    ],
)
async def test_what_is_no_url_is_not_shown(make, url):
    error = await refusal(make, url)
    assert isinstance(error, ConnectionLost)
    assert "can't be read; write postgresql://user:password@host:port/database" in str(error)
    assert (error.__cause__, error.__suppress_context__ or error.__context__ is None) == (None, True)


async def test_a_port_that_is_no_number(make):
    assert isinstance(await refusal(make, f"postgresql://me:{SECRET}@host:port/app"), ConnectionLost)


async def test_a_database_that_does_not_exist(make, newest_server: Server):
    error = await refusal(make, newest_server.url("missing"))
    assert isinstance(error, ConnectionLost)
    assert 'database "missing" does not exist' in str(error)


async def test_a_role_that_does_not_exist(make, newest_server: Server):
    error = await refusal(make, newest_server.url("postgres", f"nobody:{SECRET}"))
    assert isinstance(error, ConnectionLost)
    assert 'role "nobody" does not exist' in str(error)


@pytest.fixture
def locked_role(newest_server: Server) -> Iterator[str]:
    """A role that needs a password."""
    access = Path(f"{newest_server.directory}/data/pg_hba.conf")
    rules = access.read_text()
    with newest_server.superuser() as connection:
        connection.execute("create role locked login password 'right'")
        access.write_text(f"local all locked scram-sha-256\n{rules}")
        connection.execute("select pg_reload_conf()")
        yield "locked"
        access.write_text(rules)
        connection.execute("select pg_reload_conf()")
        connection.execute("drop role locked")


async def test_a_wrong_password(make, newest_server: Server, locked_role: str):
    error = await refusal(make, newest_server.url("postgres", f"{locked_role}:{SECRET}"))
    assert isinstance(error, ConnectionLost)
    assert 'password authentication failed for user "locked"' in str(error)


async def test_a_database_without_the_schema(make, newest_server: Server):
    error = await refusal(make, newest_server.url("postgres"))
    assert isinstance(error, NotInstalled)
    assert str(error) == "this database has no pgflow schema; run `pgflow migrate`"


async def test_a_role_that_may_not_use_the_schema(make, newest_server: Server):
    with newest_server.superuser() as connection:
        connection.execute("create role stranger login")
        try:
            error = await refusal(make, newest_server.url(newest_server.template(), "stranger"))
        finally:
            connection.execute("drop role stranger")
    assert type(error) is NotGranted
    assert "permission denied for schema pgflow; connect as the owner" in str(error)


async def test_a_newer_schema(make, newest_database_url):
    with psycopg.connect(newest_database_url) as connection:
        connection.execute("insert into pgflow.migrations (version, name, checksum) values (9999, 'future', 'x')")
    error = await refusal(make, newest_database_url)
    assert isinstance(error, TooNew)
    assert "newer than this package (9999_future); run `pip install -U pgflow-py`" in str(error)


async def test_an_older_schema(make, newest_database_url, monkeypatch: pytest.MonkeyPatch):
    packaged = (*schema._packaged(), schema.Migration(9999, "next", "select 1", "x"))
    monkeypatch.setattr(schema, "_packaged", lambda: packaged)
    error = await refusal(make, newest_database_url)
    assert isinstance(error, TooOld)
    assert "lacks 9999_next; run `pgflow migrate`" in str(error)


async def test_a_drifted_schema(make, newest_database_url):
    with psycopg.connect(newest_database_url) as connection:
        connection.execute("update pgflow.migrations set checksum = 'x' where version = 1")
    error = await refusal(make, newest_database_url)
    assert isinstance(error, Drifted)
    assert "0001_initial" in str(error)


async def test_a_queue_that_was_dropped_is_named_with_what_makes_it_anew(make, newest_database_url):
    client = make(newest_database_url)
    await client.ensure_compiled(greeting)
    with as_superuser(newest_database_url, autocommit=True) as connection:
        connection.execute("select pgmq.drop_queue('greeting')")
    with pytest.raises(SchemaError, match=r"select pgmq\.create\('greeting'\)"):
        await client.start_flow(greeting, 1)
    with psycopg.connect(newest_database_url, autocommit=True) as connection:
        connection.execute("select pgmq.create('greeting')")
    assert (await client.start_flow(greeting, 1)).status == "started"
    await client.close()


async def test_a_database_that_lost_pgmq(make, newest_database_url):
    client = make(newest_database_url)
    await client.ensure_compiled(greeting)
    with as_superuser(newest_database_url, autocommit=True) as connection:
        connection.execute("drop schema pgmq cascade")
    with pytest.raises(SchemaError, match="pgflow migrate"):
        await client.ensure_compiled(each)
    await client.close()


async def test_a_server_that_stops_is_lost_and_found_again(make, project_directory: Path):
    server = await asyncio.to_thread(embedded.start, project_directory)
    with psycopg.connect(server.url, autocommit=True) as connection:
        schema.migrate(connection)
    client = make(server.url)
    await client.ensure_compiled(greeting)
    await asyncio.to_thread(embedded.stop, project_directory)
    with pytest.raises(ConnectionLost):
        await client.start_flow(greeting, 1)
    await asyncio.to_thread(embedded.start, project_directory)
    async with asyncio.timeout(30):
        while not await started(client):
            continue
    await client.close()


async def started(client: Any) -> bool:
    try:
        return bool(await client.start_flow(greeting, 1))
    except ConnectionLost:
        return False
