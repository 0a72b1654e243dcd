"""The transaction of a task: what its handler writes is committed with its completion, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

from psycopg import Connection, sql
from psycopg import Error as DriverError
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from pgflow import calls
from pgflow._sync.performing import perform, run_on
from pgflow.connecting import POOL_NAME
from pgflow.errors import ConnectionLost, TransactionFailed, translate
from pgflow.reference import Core
from pgflow.types import TaskReport

Target: TypeAlias = tuple[str, dict[str, Any], Core | None]

_SPARE_SECONDS = 10
_LONGEST_MILLISECONDS = 2_147_483_647


class TransactionPool:
    """At most `size` connections, opened when handlers begin transactions. `target` gives URL, options and core."""

    def __init__(self, target: Callable[[], Target], *, size: int) -> None:
        self._target = target
        self._size = size
        self.core: Core | None = None
        """What the schema has if it is the reference's, once a transaction has begun."""
        self._pool: ConnectionPool[Connection[Any]] | None = None
        self._opening = threading.Lock()

    def begin(self, deadline: datetime) -> Connection[Any]:
        """Return a connection in a new transaction; those that have died, or whose server is read-only, are left out.

        Raises ConnectionLost if there is none until the deadline.
        """
        pool = self._opened()
        lost: Exception | None = None
        for _ in range(self._size + 1):  # all of them may have died, with a server that was restarted
            seconds = max((deadline - datetime.now(UTC)).total_seconds(), 0)
            try:
                connection = pool.getconn(seconds)
            except PoolTimeout as error:
                raise ConnectionLost("no connection for ctx.transaction() before the task's deadline") from error
            try:
                connection.execute(_begin(seconds))
                if not _is_read_only(connection):
                    return connection
                connection.close()
                raise ConnectionLost("the server is read-only")
            except BaseException as error:
                self.end(connection)
                if not isinstance(error, DriverError | ConnectionLost) or not connection.closed:
                    raise
                lost = error
        raise ConnectionLost(f"no connection for ctx.transaction() can be used: {lost}") from lost

    def end(self, connection: Connection[Any]) -> None:
        """Roll back what isn't committed, and take the connection back."""
        try:
            if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
                connection.execute("rollback")
        except DriverError:
            connection.close()
        finally:
            connection.row_factory = tuple_row
            assert self._pool is not None
            self._pool.putconn(connection)

    def close(self) -> None:
        """Close all connections, those in use when they come back."""
        if self._pool is not None:
            self._pool.close()

    def _opened(self) -> ConnectionPool[Connection[Any]]:
        with self._opening:
            if self._pool is None:
                url, options, self.core = self._target()
                pool: ConnectionPool[Connection[Any]] = ConnectionPool(
                    url, min_size=0, max_size=self._size, open=False, kwargs=options, name=POOL_NAME, num_workers=1
                )
                pool.open()
                self._pool = pool
        return self._pool


class TaskTransaction:
    """The one transaction of an attempt, begun with the first block. Leaving it as a context manager rolls it back."""

    def __init__(self, pool: TransactionPool, deadline: datetime) -> None:
        self._pool = pool
        self._deadline = deadline
        self._beginning = threading.Lock()
        self._connection: Connection[Any] | None = None
        self._ended = False
        self.refusal: ConnectionLost | None = None
        """Why it could not begin."""

    @property
    def has_begun(self) -> bool:
        """Whether there is something to commit."""
        return self._connection is not None

    @contextmanager
    def block(self) -> Iterator[Connection[Any]]:
        """Give the connection. An exception takes back what the block wrote, as with a savepoint."""
        connection = self._begun()
        with connection.transaction():
            yield connection
            if connection.info.transaction_status == TransactionStatus.INERROR:
                raise TransactionFailed(_CAUGHT)

    def complete(self, report: TaskReport) -> calls.Exchanged | None:
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
            exchanged = perform(plan, lambda each: run_on(connection, each))
            if exchanged.recorded:
                connection.execute("commit")
        except DriverError as error:
            raise translate(error) from error
        return exchanged if exchanged.recorded else None

    def __enter__(self) -> TaskTransaction:
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended = True
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.end(connection)

    def _begun(self) -> Connection[Any]:
        with self._beginning:
            if self._ended:
                raise TransactionFailed("the task has ended, and its transaction with it")
            if self._connection is None:
                try:
                    self._connection = self._pool.begin(self._deadline)
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


def _is_read_only(connection: Connection[Any]) -> bool:
    """Whether the server says that it is a standby, or for readers only."""
    settings = ("in_hot_standby", "default_transaction_read_only")
    return any(connection.info.parameter_status(name) == "on" for name in settings)


def _require_usable(connection: Connection[Any]) -> None:
    if connection.broken:
        raise ConnectionLost("the connection of ctx.transaction() broke before the task was completed")
    match connection.info.transaction_status:
        case TransactionStatus.INTRANS:
            return
        case TransactionStatus.INERROR:
            raise TransactionFailed(_CAUGHT)
        case _:
            raise TransactionFailed("the handler has ended the transaction of ctx.transaction() by itself")
