"""Everything here needs Node and the npm packages of the reference implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from interop.packages import require_packages
from interop.reference import NodeWorker


@pytest.fixture(scope="session", autouse=True)
def npm_packages() -> None:
    require_packages()


@pytest.fixture
def node_worker(url: str) -> Iterator[Callable[..., NodeWorker]]:
    """Starts workers of the reference; what still runs at the end of the test is killed."""
    workers: list[NodeWorker] = []

    def start(flow_slug: str, tasks: int | None = None) -> NodeWorker:
        workers.append(NodeWorker(url, flow_slug, tasks))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
