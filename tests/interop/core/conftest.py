"""Databases whose schema pgflow was made by the reference: as it is, and with our functions beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Literal

import psycopg
import pytest

from interop.core.schema import install_reference
from pgflow import PgFlow, reference
from servers import Server

# By server, and kept here, since a fixture would end with each file, which goes from server to server.
_TEMPLATES: dict[Server, str] = {}


@pytest.fixture
def reference_template(server: Server, npm_packages: None) -> str:
    """The name of a database with the reference's migrations applied; nobody connects to it."""
    if server not in _TEMPLATES:
        name = server.create_database()
        install_reference(server.url(name))
        _TEMPLATES[server] = name
    return _TEMPLATES[server]


@pytest.fixture
def reference_url(server: Server, reference_template: str) -> Iterator[str]:
    """A private database with the reference's migrations, unchanged."""
    name = server.create_database(reference_template)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture(params=["as it is", "adopted"])
def state(request: pytest.FixtureRequest) -> Literal["as it is", "adopted"]:
    chosen: Literal["as it is", "adopted"] = request.param
    return chosen


@pytest.fixture
def url(reference_url: str, state: str) -> str:
    """A private database with the reference's migrations: unchanged, and adopted."""
    if state == "adopted":
        with psycopg.connect(reference_url) as connection:
            reference.adopt(connection)
    return reference_url


@pytest.fixture
async def app(url: str) -> AsyncIterator[PgFlow]:
    async with PgFlow(url) as app:
        yield app
