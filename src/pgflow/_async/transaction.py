"""The transaction of a task: what its handler writes is committed with its completion, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

from psycopg import AsyncConnection, sql
from psycopg import Error as DriverError
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pgflow import calls
from pgflow._async.performing import perform, run_on
from pgflow.connecting import POOL_NAME
from pgflow.errors import ConnectionLost, TransactionFailed, translate
from pgflow.reference import Core
from pgflow.types import TaskReport

Target: TypeAlias = tuple[str, dict[str, Any], Core | None]

_SPARE_SECONDS = 10
_LONGEST_MILLISECONDS = 2_147_483_647


class AsyncTransactionPool:
    """At most `size` connections, opened when handlers begin transactions. `target` gives URL, options and core."""

    def __init__(self, target: Callable[[], Target], *, size: int) -> None:
        self._target = target
        self._size = size
        self.core: Core | None = None
        """What the schema has if it is the reference's, once a transaction has begun."""
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] | None = None
        self._opening = asyncio.Lock()

    async def begin(self, deadline: datetime) -> AsyncConnection[Any]:
        """Return a connection in a new transaction; those that have died, or whose server is read-only, are left out.

        Raises ConnectionLost if there is none until the deadline.
        """
        pool = await self._opened()
        lost: Exception | None = None
        for _ in range(self._size + 1):  # all of them may have died, with a server that was restarted
            seconds = max((deadline - datetime.now(UTC)).total_seconds(), 0)
            try:
                connection = await pool.getconn(seconds)
            except PoolTimeout as error:
                raise ConnectionLost("no connection for ctx.transaction() before the task's deadline") from error
            try:
                await connection.execute(_begin(seconds))
                if not _is_read_only(connection):
                    return connection
                await connection.close()
                raise ConnectionLost("the server is read-only")
            except BaseException as error:
                await self.end(connection)
                if not isinstance(error, DriverError | ConnectionLost) or not connection.closed:
                    raise
                lost = error
        raise ConnectionLost(f"no connection for ctx.transaction() can be used: {lost}") from lost

    async def end(self, connection: AsyncConnection[Any]) -> None:
        """Roll back what isn't committed, and take the connection back."""
        try:
            if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
                await connection.execute("rollback")
        except DriverError:
            await connection.close()
        finally:
            connection.row_factory = tuple_row
            assert self._pool is not None
            await self._pool.putconn(connection)

    async def close(self) -> None:
        """Close all connections, those in use when they come back."""
        if self._pool is not None:
            await self._pool.close()

    async def _opened(self) -> AsyncConnectionPool[AsyncConnection[Any]]:
        async with self._opening:
            if self._pool is None:
                url, options, self.core = self._target()
                pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
                    url, min_size=0, max_size=self._size, open=False, kwargs=options, name=POOL_NAME, num_workers=1
                )
                await pool.open()
                self._pool = pool
        return self._pool


class AsyncTaskTransaction:
    """The one transaction of an attempt, begun with the first block. Leaving it as a context manager rolls it back."""

    def __init__(self, pool: AsyncTransactionPool, deadline: datetime) -> None:
        self._pool = pool
        self._deadline = deadline
        self._beginning = asyncio.Lock()
        self._connection: AsyncConnection[Any] | None = None
        self._ended = False
        self.refusal: ConnectionLost | None = None
        """Why it could not begin."""

    @property
    def has_begun(self) -> bool:
        """Whether there is something to commit."""
        return self._connection is not None

    @asynccontextmanager
    async def block(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Give the connection. An exception takes back what the block wrote, as with a savepoint."""
        connection = await self._begun()
        async with connection.transaction():
            yield connection
            if connection.info.transaction_status == TransactionStatus.INERROR:
                raise TransactionFailed(_CAUGHT)

    async def complete(self, report: TaskReport) -> calls.Exchanged | None:
        """Report the task and commit, if the report counts, and return what followed; None if it doesn't count.

        Raises TransactionFailed when the handler has left nothing that could be committed. When ConnectionLost is
        raised, it may be committed or not.
        """
        assert self._connection is not None
        connection = self._connection
        _require_usable(connection)
        call, core = calls.exchange_tasks([report], {}, 0), self._pool.core
        plan = call if core is None else core.plan(call)
        try:
            exchanged = await perform(plan, lambda each: run_on(connection, each))
            if exchanged.recorded:
                await connection.execute("commit")
        except DriverError as error:
            raise translate(error) from error
        return exchanged if exchanged.recorded else None

    async def __aenter__(self) -> AsyncTaskTransaction:
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._ended = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.end(connection)

    async def _begun(self) -> AsyncConnection[Any]:
        async with self._beginning:
            if self._ended:
                raise TransactionFailed("the task has ended, and its transaction with it")
            if self._connection is None:
                try:
                    self._connection = await self._pool.begin(self._deadline)
                except ConnectionLost as error:
                    self.refusal = error
                    raise
        return self._connection


_CAUGHT = (
    "an error of the database was caught inside ctx.transaction(), and PostgreSQL refuses what follows; "
    "let it leave the block, or put the statement into a block of its own, which is a savepoint"
)


def _begin(seconds: float) -> sql.Composed:
    """Return the beginning of a transaction that may be idle for as long as its task may run, and a little longer."""
    limit = min(int((seconds + _SPARE_SECONDS) * 1000), _LONGEST_MILLISECONDS)
    return sql.SQL("begin; set local idle_in_transaction_session_timeout = {}").format(sql.Literal(limit))


def _is_read_only(connection: AsyncConnection[Any]) -> bool:
    """Whether the server says that it is a standby, or for readers only."""
    settings = ("in_hot_standby", "default_transaction_read_only")
    return any(connection.info.parameter_status(name) == "on" for name in settings)


def _require_usable(connection: AsyncConnection[Any]) -> None:
    if connection.broken:
        raise ConnectionLost("the connection of ctx.transaction() broke before the task was completed")
    match connection.info.transaction_status:
        case TransactionStatus.INTRANS:
            return
        case TransactionStatus.INERROR:
            raise TransactionFailed(_CAUGHT)
        case _:
            raise TransactionFailed("the handler has ended the transaction of ctx.transaction() by itself")
