"""An application on a database of its own, and the check that a test leaves no tasks and threads behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from pgflow import PgFlow
from servers import Server
from worker.running import eventually, query


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


def _handler_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pgflow-handler")]
