from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

from client.flows import greeting
from client.twins import Awaitable
from client.workbench import Workbench
from pgflow import PgFlow, sync
from servers import Server

EMPTY = "select pgflow.delete_flow_and_data(flow_slug) from pgflow.flows; delete from pgflow.listeners"


@pytest.fixture(scope="session")
def client_database_url(newest_server: Server) -> Iterator[str]:
    """One migrated database for all tests of clients; `shared_url` empties it."""
    name = newest_server.create_database(newest_server.template())
    yield newest_server.url(name)
    newest_server.drop_database(name)


@pytest.fixture
def shared_url(client_database_url: str) -> str:
    """A migrated database without flows, where nobody listens any more."""
    with psycopg.connect(client_database_url, autocommit=True) as connection:
        connection.execute(EMPTY)
    return client_database_url


@pytest.fixture(params=["async", "sync"])
async def client(request: pytest.FixtureRequest, shared_url: str) -> AsyncIterator[Any]:
    """A client of a database without flows, of either kind; the calls of both are awaited."""
    if request.param == "async":
        async with PgFlow(shared_url) as client:
            yield client
    else:
        blocking = sync.PgFlow(shared_url)
        await asyncio.to_thread(blocking.open)
        yield Awaitable(blocking)
        await asyncio.to_thread(blocking.close)


@pytest.fixture
async def greeter(client: Any) -> Any:
    """A client whose database has the flow `greeting`."""
    await client.ensure_compiled(greeting)
    return client


@pytest.fixture
def shared_connection(shared_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shared_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def workbench(shared_connection: psycopg.Connection[Any]) -> Workbench:
    """What works the tasks of `greeting`."""
    return Workbench(shared_connection)
