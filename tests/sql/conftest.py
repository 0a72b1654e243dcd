"""Fixtures for tests of the SQL engine: JSON null told from SQL NULL, and invariants checked after every test."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads

from sql import engine
from sql.engine import Connection
from sql.invariants import check_invariants
from sql.sessions import Sessions, sessions

BREAKING = (
    "breaks_invariants: edits rows by hand or calls single building blocks; invariants are not checked afterwards"
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", BREAKING)


@pytest.fixture
def connection(connection: Connection) -> Iterator[Connection]:
    """The shared connection, in a transaction that is rolled back; reads JSON null as `engine.JSON_NULL`."""
    engine.load_json_null(connection)
    yield connection
    set_json_loads(json.loads, connection)


@pytest.fixture
def recorded(connection: Connection) -> Connection:
    """Like `connection`, with events recorded."""
    engine.record_events(connection)
    return connection


@pytest.fixture
def both(database_url: str) -> Iterator[Sessions]:
    """Two sessions on a private database, and an observer."""
    with sessions(database_url) as (first, second), engine.connect(database_url, autocommit=True) as observer:
        yield Sessions(first, second, observer)


@pytest.fixture(autouse=True)
def _invariants_hold(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check the invariants after each test on `connection` or `database_url`."""
    connection = request.getfixturevalue("connection") if "connection" in request.fixturenames else None
    urls = [
        request.getfixturevalue(name)
        for name in ("database_url", "newest_database_url")
        if name in request.fixturenames
    ]
    yield
    if request.node.get_closest_marker("breaks_invariants"):
        return
    if connection is not None and connection.info.transaction_status != TransactionStatus.INERROR:
        check_invariants(connection)
    for url in urls:
        with engine.connect(url) as reader:
            check_invariants(reader)
