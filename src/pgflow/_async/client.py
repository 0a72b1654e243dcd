"""The calls that need no worker: registering flows, starting runs, looking at them."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self
from uuid import UUID

from pgflow import calls
from pgflow._async.connection import Database
from pgflow._async.handle import Run
from pgflow.errors import FlowNotFound, FlowShapeMismatch, InvalidInput, NotGranted, RunNotFound
from pgflow.flow import Flow
from pgflow.serialize import encode
from pgflow.types import Json

CORE_VERSION = "0.14.1"
"""Version of the SQL contract that the schema of this package implements."""


class Client:
    """Registers flows, starts runs and looks at them.

    `url` is a libpq URL; None means PGFLOW_DATABASE_URL, or the embedded server. `pool_size` bounds the connections.
    While somebody waits for runs one more connection is told of changes, instead of asking again and again. It goes
    to `listen_url`, default `url`; behind a connection pooler it needs a URL of its own. `listen=False` does without.
    A context manager; opened on first use otherwise.
    """

    def __init__(
        self, url: str | None = None, *, pool_size: int = 2, listen: bool = True, listen_url: str | None = None
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

    async def ensure_compiled(self, flow: Flow, *, allow_data_loss: bool = False) -> str:
        """Register the flow, or compare it with the one registered. Gives `compiled`, `verified` or `recompiled`.

        Raises DefinitionError for a flow without steps, and FlowShapeMismatch, which changes nothing, when the shapes
        differ. With `allow_data_loss` the registered flow is then deleted with all its runs and registered anew.
        A role that may only work compares: FlowNotFound then says that the owner has to register the flow first.
        """
        flow.check()
        shape = encode(flow.shape)
        status, differences = await self.database.run(calls.compare_flow(flow.slug, shape))
        if status != "verified":
            try:
                status, differences = await self.database.run(
                    calls.ensure_flow_compiled(flow.slug, shape, allow_data_loss=allow_data_loss)
                )
            except NotGranted as refused:
                if allow_data_loss:
                    raise
                if status == "missing":
                    raise FlowNotFound(flow.slug) from refused
        if status == "mismatch":
            raise FlowShapeMismatch(flow.slug, differences)
        return status

    async def compile(self, flow: Flow, *, allow_data_loss: bool = False) -> str:
        """Do what :meth:`ensure_compiled` does."""
        return await self.ensure_compiled(flow, allow_data_loss=allow_data_loss)

    async def start_flow(
        self,
        flow: Flow | str,
        input: Json,  # noqa: A002 - the public name
        *,
        run_id: UUID | None = None,
        conn: object | None = None,
    ) -> Run:
        """Start a run of a flow, given as Flow or slug, and return it as it is then: it may have ended already.

        `run_id` must be new; a random one is taken by default. Raises FlowNotFound for a flow that isn't registered
        and InvalidInput for an input that isn't JSON, isn't the array that a root map needs, or a run id in use.

        `conn` is an open connection of your own, of psycopg, psycopg2, asyncpg, SQLAlchemy or Django: the run exists if
        and only if its transaction commits. Raises UnusableConnection for one that is closed or has failed before.
        """
        encoded = [encode(input, what="input")]
        run_ids = None if run_id is None else [run_id]
        [row] = await self.database.run(calls.start_flows(_slug(flow), encoded, run_ids), conn)
        return Run(self.database, row)

    async def start_flows(self, flow: Flow | str, inputs: Iterable[Json], *, conn: object | None = None) -> list[Run]:
        """Start one run per input in one round trip, all or none, and return them in the order of the inputs.

        `conn` and what is raised are those of :meth:`start_flow`.
        """
        encoded = [encode(value, what="input") for value in inputs]
        if not encoded:
            return []
        rows = await self.database.run(calls.start_flows(_slug(flow), encoded), conn)
        return [Run(self.database, row) for row in rows]

    async def start_flow_sync(self, flow: Flow | str, input: Json, *, timeout: float = 60) -> Run:  # noqa: A002 - the public name
        """Start a run, wait for its end, at most `timeout` seconds, and return it completed.

        Raises RunFailed, WaitTimeout (the run goes on), and what :meth:`start_flow` raises.
        """
        run = await self.start_flow(flow, input)
        await run.result(timeout)
        return run

    async def get_run(self, run_id: UUID | str) -> Run:
        """Return a run. Raises RunNotFound, also for a text that is no run id."""
        return Run(self.database, await self.database.run(calls.get_run(_run_id(run_id))))

    async def get_run_with_states(self, run_id: UUID | str) -> Run:
        """Return a run with the states of its steps in `run.steps`. Raises RunNotFound as :meth:`get_run` does."""
        row, steps = await self.database.run(calls.get_run_with_states(_run_id(run_id)))
        return Run(self.database, row, steps)

    def core_version(self) -> str:
        """Return the version of the SQL contract that is implemented."""
        return CORE_VERSION


def _slug(flow: Flow | str) -> str:
    if isinstance(flow, Flow):
        return flow.slug
    try:
        flow.encode()
    except UnicodeEncodeError:
        raise InvalidInput("a flow slug can't contain lone surrogates") from None
    if "\0" in flow:
        raise InvalidInput("a flow slug can't contain NUL characters")
    return flow


def _run_id(run_id: UUID | str) -> UUID:
    if isinstance(run_id, UUID):
        return run_id
    try:
        return UUID(run_id)
    except (ValueError, AttributeError, TypeError):
        raise RunNotFound(run_id) from None
