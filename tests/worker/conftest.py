"""An application on a database of its own that leaves no tasks and threads behind, and what its workers tell."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from pgflow import PgFlow, telemetry
from servers import Server
from worker.running import eventually, query
from worker.telling import Told


@pytest.fixture(scope="session")
def _shared_url(newest_server: Server) -> Iterator[str]:
    name = newest_server.create_database(newest_server.template())
    yield newest_server.url(name)
    newest_server.drop_database(name)


@pytest.fixture
def url(_shared_url: str) -> Iterator[str]:
    """The database of the application, without flows and workers; its functions and tables mustn't be changed."""
    yield _shared_url
    query(_shared_url, "select pgflow.delete_flow_and_data(flow_slug) from pgflow.flows")
    query(_shared_url, "delete from pgflow.workers")


@pytest.fixture
async def app(url: str) -> AsyncIterator[PgFlow]:
    async with PgFlow(url) as app:
        yield app
    await eventually(lambda: not _handler_threads(), "idle handler threads end with their worker")
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("pgflow")]
    assert not left, f"the worker left tasks behind: {left}"


@pytest.fixture(params=[False, True], ids=["thread", "loop"])
def is_async(request: pytest.FixtureRequest) -> bool:
    """Whether the handler is an async one, or one that runs in a thread."""
    return bool(request.param)


@pytest.fixture
def told() -> Iterator[Told]:
    """All events that are told during the test."""
    told = Told()
    telemetry.attach("test", telemetry.ALL, told, payloads=True)
    yield told
    telemetry.detach("test")


def _handler_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pgflow-handler")]
