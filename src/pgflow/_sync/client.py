"""The client: everything that needs no worker. What concerns definitions, listings and upkeep is next door."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, overload
from uuid import UUID

from pgflow import arguments, calls
from pgflow._sync.connection import Database
from pgflow._sync.definitions import Definitions
from pgflow._sync.handle import Run, started_run
from pgflow._sync.jobs import Enqueuing
from pgflow._sync.listings import Listings
from pgflow._sync.upkeep import Upkeep
from pgflow.flow import Flow, InputT, OutputT
from pgflow.serialize import encode
from pgflow.types import Json

CORE_VERSION = "0.14.1"
"""Version of the SQL contract that the schema of this package implements."""


class Client(Definitions, Enqueuing, Listings, Upkeep):
    """Registers flows, starts runs and looks at them.

    `url` is a libpq URL; None means PGFLOW_DATABASE_URL, or the embedded server. `pool_size` bounds the connections.
    While somebody waits for runs one more connection is told of changes, instead of asking again and again. It goes
    to `listen_url`, default `url`; behind a connection pooler it needs a URL of its own. `listen=False` does without.
    A context manager; opened on first use otherwise.
    """

    def __init__(
        self, url: str | None = None, *, pool_size: int = 3, listen: bool = True, listen_url: str | None = None
    ) -> None:
        self.database = Database(url, pool_size=pool_size, listen=listen, listen_url=listen_url)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Connect. Raises ConnectionLost, or a SchemaError when the database isn't ready for this version."""
        self.database.open()

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    @overload
    def start_flow(
        self,
        flow: Flow[InputT, OutputT],
        input: InputT,
        *,
        run_id: UUID | str | None = None,
        delay: float | timedelta | None = None,
        conn: object | None = None,
    ) -> Run[OutputT]: ...

    @overload
    def start_flow(
        self,
        flow: str,
        input: Json,
        *,
        run_id: UUID | str | None = None,
        delay: float | timedelta | None = None,
        conn: object | None = None,
    ) -> Run[Any]: ...

    def start_flow(
        self,
        flow: Flow[Any, Any] | str,
        input: Any,  # noqa: A002 - the public name
        *,
        run_id: UUID | str | None = None,
        delay: float | timedelta | None = None,
        conn: object | None = None,
    ) -> Run[Any]:
        """Start a run of a flow, given as Flow or slug, and return it as it is then: it may have ended already.

        `run_id` must be new; a random one is taken by default. With a `delay` (seconds or timedelta) the run exists
        at once and its first tasks wait for so long. Raises FlowNotFound for a flow that isn't registered
        and InvalidInput for an input that isn't JSON or of the flow's input type, isn't the array that a root map
        needs, or a run id in use.

        `conn` is an open connection of your own, of psycopg, psycopg2, asyncpg, SQLAlchemy or Django: the run exists if
        and only if its transaction commits. Raises UnusableConnection for one that is closed or has failed before.
        """
        slug, encoded = arguments.flow_slug(flow), _encoded(flow, input)
        new_id, seconds = arguments.new_run_id(run_id), arguments.delay_seconds(delay)
        new_ids = None if new_id is None else [new_id]
        [row] = self.database.run(calls.start_flows(slug, [encoded], new_ids, seconds), conn)
        return started_run(self.database, flow, row, conn)

    @overload
    def start_flows(
        self,
        flow: Flow[InputT, OutputT],
        inputs: Iterable[InputT],
        *,
        delay: float | timedelta | None = None,
        conn: object | None = None,
    ) -> list[Run[OutputT]]: ...

    @overload
    def start_flows(
        self,
        flow: str,
        inputs: Iterable[Json],
        *,
        delay: float | timedelta | None = None,
        conn: object | None = None,
    ) -> list[Run[Any]]: ...

    def start_flows(
        self,
        flow: Flow[Any, Any] | str,
        inputs: Iterable[Any],
        *,
        delay: float | timedelta | None = None,
        conn: object | None = None,
    ) -> list[Run[Any]]:
        """Start one run per input in one round trip, all or none, and return them in the order of the inputs.

        `delay`, `conn` and what is raised are those of :meth:`start_flow`.
        """
        slug, seconds = arguments.flow_slug(flow), arguments.delay_seconds(delay)
        encoded = [_encoded(flow, value) for value in inputs]
        if not encoded:
            return []
        rows = self.database.run(calls.start_flows(slug, encoded, None, seconds), conn)
        return [started_run(self.database, flow, row, conn) for row in rows]

    @overload
    def start_flow_sync(
        self,
        flow: Flow[InputT, OutputT],
        input: InputT,
        *,
        timeout: float = 60,
    ) -> Run[OutputT]: ...

    @overload
    def start_flow_sync(self, flow: str, input: Json, *, timeout: float = 60) -> Run[Any]: ...

    def start_flow_sync(
        self,
        flow: Flow[Any, Any] | str,
        input: Any,  # noqa: A002 - the public name
        *,
        timeout: float = 60,
    ) -> Run[Any]:
        """Start a run, wait for its end, at most `timeout` seconds, and return it completed.

        Raises RunFailed, WaitTimeout (the run goes on), and what :meth:`start_flow` raises.
        """
        run = self.start_flow(flow, input)
        run.result(timeout)
        return run

    def get_run(self, run_id: UUID | str) -> Run[Any]:
        """Return a run. Raises RunNotFound, also for a text that is no run id."""
        return Run(self.database, self.database.run(calls.get_run(arguments.run_id(run_id))))

    def get_run_with_states(self, run_id: UUID | str) -> Run[Any]:
        """Return a run with the states of its steps in `run.steps`. Raises RunNotFound as :meth:`get_run` does."""
        row, steps = self.database.run(calls.get_run_with_states(arguments.run_id(run_id)))
        return Run(self.database, row, steps)

    def core_version(self) -> str:
        """Return the version of the SQL contract that is implemented."""
        return CORE_VERSION


def _encoded(flow: Flow[Any, Any] | str, value: Any) -> bytes:
    return flow.encode_input(value) if isinstance(flow, Flow) else encode(value, what="input")
