"""The interface that every peer implements, in the terms of the workloads."""

from __future__ import annotations

import asyncio
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Literal, get_args

Kind = Literal["jobs", "chains", "map", "megabytes"]
"""Jobs of one step; chains of three steps; one map over many elements and a reduce; jobs with an input of 1 MB."""

KINDS: tuple[Kind, ...] = get_args(Kind)
CHAIN_LENGTH = 3
STATUS_PAUSE = 0.002
"""Seconds between two questions for the status, where a peer's own way to wait for a result is to ask for it."""


async def until(has_ended: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again."""
    while not await has_ended():  # noqa: ASYNC110 - these peers tell only those who ask
        await asyncio.sleep(STATUS_PAUSE)


class Adapter(ABC):
    """A peer. `url` is that of its own database, freshly made, or of the broker."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    """Distributions whose versions matter."""
    settings: ClassVar[str]
    """How it is set up, for the reader of the table."""
    kinds: ClassVar[frozenset[Kind]] = frozenset({"jobs", "chains"})

    def __init__(self, url: str, kind: Kind = "jobs") -> None:
        self.url = url
        self.kind = kind
        """What the worker is going to work."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages."""
        return {name: importlib.metadata.version(name) for name in self.packages}

    @abstractmethod
    def prepare(self) -> None:
        """Install the schema."""

    @abstractmethod
    def enqueue(self, kind: Kind, count: int) -> None:
        """Start `count` jobs or chains, or one map over `count` elements, the fastest way there is."""

    @abstractmethod
    def work(self) -> None:
        """Run a worker, in this process, until SIGTERM."""

    @abstractmethod
    def unfinished(self) -> int:
        """Return how much of what was started hasn't ended, according to the database."""

    @abstractmethod
    async def open(self) -> None:
        """Connect, to start jobs one by one."""

    @abstractmethod
    async def start_one(self) -> Any:
        """Start one job and return what :meth:`wait_for` needs."""

    @abstractmethod
    async def wait_for(self, started: Any) -> None:
        """Return when the job has ended, as early as the peer lets a caller know."""

    @abstractmethod
    async def close(self) -> None:
        """Undo :meth:`open`."""

    def handler_runs(self, kind: Kind, count: int) -> int:
        """Return how many handlers `count` of a kind run."""
        return {"jobs": count, "chains": count * CHAIN_LENGTH, "map": count + 1, "megabytes": count}[kind]


class DatabaseAdapter(Adapter):
    """A peer whose state is in PostgreSQL."""

    unfinished_query: ClassVar[str]

    _connection: Any = None

    def unfinished(self) -> int:
        """Ask the table of jobs."""
        if self._connection is None:
            import psycopg

            self._connection = psycopg.connect(self.url, autocommit=True)
        [count] = self._connection.execute(self.unfinished_query).fetchone()
        return int(count)
