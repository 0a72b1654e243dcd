"""Statements that are prepared: for calls made often, on connections that lead to the server itself."""

from __future__ import annotations

from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName

from pgflow._async.performing import run_on
from pgflow.calls import Call

T = TypeVar("T")

CALLS_BEFORE_PREPARING = 5
"""How often a statement runs on a connection before it is prepared there, which costs a round trip."""

# Forgotten by the session, known to it already, or made before a migration that has changed the type of a column.
_OUT_OF_DATE = (InvalidSqlStatementName, DuplicatePreparedStatement, FeatureNotSupported)


async def prepare_where_direct(connection: AsyncConnection[Any]) -> None:
    """Let calls made often be prepared on this connection, unless a pooler may give each to another session.

    A pooler is known by the process ids that it makes up for its clients.
    """
    cursor = await connection.execute("select pg_backend_pid()")
    if await cursor.fetchone() == (connection.info.backend_pid,):
        connection.prepare_threshold = CALLS_BEFORE_PREPARING


async def run_prepared(connection: AsyncConnection[Any], call: Call[T]) -> T:
    """Run a call in a transaction of its own, prepared where that is allowed and has not failed on this connection."""
    try:
        return await run_on(connection, call)
    except _OUT_OF_DATE:
        if connection.prepare_threshold is None:
            raise
        connection.prepare_threshold = None  # until the pool replaces it; what was refused has changed nothing
    return await run_on(connection, call)
