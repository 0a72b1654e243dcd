"""The client: everything that needs no worker. Definitions, listings, control and upkeep are next door."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, overload
from uuid import UUID

from pgflow import arguments, calls
from pgflow._async.connection import Database
from pgflow._async.control import Control
from pgflow._async.definitions import Definitions
from pgflow._async.handle import Run
from pgflow._async.jobs import Enqueuing
from pgflow._async.listings import Listings
from pgflow._async.starting import StartOptions, start_runs
from pgflow._async.upkeep import Upkeep
from pgflow.errors import RunNotFound
from pgflow.flow import Flow, InputT, OutputT
from pgflow.serialize import encode
from pgflow.types import Json

CORE_VERSION = "0.14.1"
"""Version of the SQL contract that the schema of this package implements."""


class Client(Control, Definitions, Enqueuing, Listings, Upkeep):
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

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect. Raises ConnectionLost, or a SchemaError when the database isn't ready for this version."""
        await self.database.open()

    async def close(self) -> None:
        """Close all connections."""
        await self.database.close()

    @overload
    async def start_flow(
        self,
        flow: Flow[InputT, OutputT],
        input: InputT,
        *,
        run_id: UUID | str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> Run[OutputT]: ...

    @overload
    async def start_flow(
        self,
        flow: str,
        input: Json,
        *,
        run_id: UUID | str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> Run[Any]: ...

    async def start_flow(
        self,
        flow: Flow[Any, Any] | str,
        input: Any,  # noqa: A002 - the public name
        *,
        run_id: UUID | str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        key: str | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> Run[Any]:
        """Start a run of a flow, given as Flow or slug, and return it as it is then: it may have ended already.

        `key`, 1 to 255 characters, makes it safe to repeat: where a run of the flow has this key already, it comes
        back, with `run.existed`, whatever its input and tags. Two who start with one key at once get one run.
        `tags`, up to 20 of up to 100 characters, are for :meth:`list_runs`. `run_id` must be new; a random one is
        taken by default. With a `delay` (seconds or timedelta), or `at` a time that has a time zone, the run exists at
        once and its first tasks wait.

        Raises FlowNotFound for a flow that isn't registered and InvalidInput for an input that isn't JSON or of the
        flow's input type, isn't the array that a root map needs, or for options that can't be, such as a run id in use.

        `conn` is an open connection of your own, of psycopg, psycopg2, asyncpg, SQLAlchemy or Django: the run exists if
        and only if its transaction commits. Raises UnusableConnection for one that is closed or has failed before.
        """
        options = StartOptions(run_id, delay, at, None if key is None else [key], tags, conn)
        [run] = await start_runs(self.database, flow, arguments.flow_slug(flow), [_encoded(flow, input)], options)
        return run

    @overload
    async def start_flows(
        self,
        flow: Flow[InputT, OutputT],
        inputs: Iterable[InputT],
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        keys: Iterable[str | None] | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> list[Run[OutputT]]: ...

    @overload
    async def start_flows(
        self,
        flow: str,
        inputs: Iterable[Json],
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        keys: Iterable[str | None] | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> list[Run[Any]]: ...

    async def start_flows(
        self,
        flow: Flow[Any, Any] | str,
        inputs: Iterable[Any],
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        keys: Iterable[str | None] | None = None,
        tags: str | Iterable[str] = (),
        conn: object | None = None,
    ) -> list[Run[Any]]:
        """Start one run per input in one round trip, all or none, and return them in the order of the inputs.

        `keys` has a key, or None, for each input. The rest, and what is raised, is as in :meth:`start_flow`.
        """
        options = StartOptions(None, delay, at, keys, tags, conn)
        encoded = [_encoded(flow, value) for value in inputs]
        return await start_runs(self.database, flow, arguments.flow_slug(flow), encoded, options)

    @overload
    async def start_flow_sync(
        self,
        flow: Flow[InputT, OutputT],
        input: InputT,
        *,
        timeout: float = 60,
    ) -> Run[OutputT]: ...

    @overload
    async def start_flow_sync(self, flow: str, input: Json, *, timeout: float = 60) -> Run[Any]: ...

    async def start_flow_sync(
        self,
        flow: Flow[Any, Any] | str,
        input: Any,  # noqa: A002 - the public name
        *,
        timeout: float = 60,
    ) -> Run[Any]:
        """Start a run, wait for its end, at most `timeout` seconds, and return it completed.

        Raises RunFailed, WaitTimeout (the run goes on), and what :meth:`start_flow` raises.
        """
        run = await self.start_flow(flow, input)
        await run.result(timeout)
        return run

    async def get_run(self, run_id: UUID | str) -> Run[Any]:
        """Return a run. Raises RunNotFound, also for a text that is no run id."""
        return Run(self.database, await self.database.run(calls.get_run(arguments.run_id(run_id))))

    async def get_run_by_key(self, flow: Flow[Any, Any] | str, key: str) -> Run[Any]:
        """Return the run of a flow that was started with this key. Raises RunNotFound."""
        slug, checked = arguments.flow_slug(flow), arguments.key(key)
        row = await self.database.run(calls.get_run_by_key(slug, checked))
        if row is None:
            raise RunNotFound(checked, f"flow {slug!r} has no run with key {checked!r}")
        return Run(self.database, row, flow=flow if isinstance(flow, Flow) else None)

    async def get_run_with_states(self, run_id: UUID | str) -> Run[Any]:
        """Return a run with the states of its steps in `run.steps`. Raises RunNotFound as :meth:`get_run` does."""
        row, steps = await self.database.run(calls.get_run_with_states(arguments.run_id(run_id)))
        return Run(self.database, row, steps)

    def core_version(self) -> str:
        """Return the version of the SQL contract that is implemented.

        On a schema that the reference's migrations have made, once it is open: the first of its versions that has all
        that was found there.
        """
        core = self.database.core
        return CORE_VERSION if core is None else core.version


def _encoded(flow: Flow[Any, Any] | str, value: Any) -> bytes:
    return flow.encode_input(value) if isinstance(flow, Flow) else encode(value, what="input")
