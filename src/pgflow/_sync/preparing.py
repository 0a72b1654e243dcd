"""Statements that are prepared: for calls made often, on connections that lead to the server itself."""

from __future__ import annotations

from collections import Counter
from typing import Any, TypeVar

from psycopg import Connection, Cursor
from psycopg.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName
from psycopg.rows import tuple_row

from pgflow._sync.performing import run_on
from pgflow.calls import Call

T = TypeVar("T")

CALLS_BEFORE_PREPARING = 5
"""How often a statement runs on a connection before it is prepared there, which costs a round trip."""

# Forgotten by the session, known to it already, or made before a migration that has changed the type of a column.
_OUT_OF_DATE = (InvalidSqlStatementName, DuplicatePreparedStatement, FeatureNotSupported)


class PooledConnection(Connection[tuple[Any, ...]]):
    """A connection that prepares calls made often, once :func:`prepare_where_direct` has found that it may."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._counts: Counter[str] = Counter()
        self._cursors: dict[str, Cursor[tuple[Any, ...]]] = {}

    def run(self, call: Call[T]) -> T:
        """Run a call in a transaction of its own, prepared where that is allowed and hasn't failed before."""
        if self.prepare_threshold is None or not self._is_made_often(call):
            return run_on(self, call)
        try:
            return self._run_prepared(call)
        except _OUT_OF_DATE:
            self.prepare_threshold = None  # until the pool replaces it; what was refused has changed nothing
            self._cursors.clear()
        return run_on(self, call)

    def _is_made_often(self, call: Call[Any]) -> bool:
        self._counts[call.sql] += 1
        return self._counts[call.sql] > CALLS_BEFORE_PREPARING

    def _run_prepared(self, call: Call[T]) -> T:
        """Run a call on the cursor of its statement: a new one would find out about all types anew."""
        cursor = self._cursors.get(call.sql)
        if cursor is None:
            cursor = self._cursors[call.sql] = self.cursor(row_factory=tuple_row)
        cursor.execute(call.sql, call.arguments, prepare=True)
        rows = cursor.fetchall()
        if cursor.pgresult is not None:
            cursor.pgresult.clear()  # it may be large, and the cursor is kept
        return call.decode(rows)


def prepare_where_direct(connection: PooledConnection) -> None:
    """Let calls made often be prepared on this connection, unless a pooler may give each to another session.

    A pooler is known by the process ids that it makes up for its clients.
    """
    cursor = connection.execute("select pg_backend_pid()")
    if cursor.fetchone() == (connection.info.backend_pid,):
        connection.prepare_threshold = CALLS_BEFORE_PREPARING
