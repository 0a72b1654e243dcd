"""Runs a call on any connection from async code. One that blocks the caller blocks the event loop here as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.rows import tuple_row

from pgflow.callers import blocking
from pgflow.callers.failures import translated
from pgflow.callers.kinds import Kind, check_open, kind_of, sqlalchemy_statement
from pgflow.calls import Call
from pgflow.calls.call import Row

T = TypeVar("T")


async def run(conn: Any, call: Call[T]) -> T:
    """Run a call in the transaction of a caller's connection and decode its rows; commit nothing.

    Raises TypeError for what is no connection, and UnusableConnection for one in no state to be used.
    """
    kind = kind_of(conn)
    with translated():
        rows = await _rows(conn, kind, call) if kind.is_async else blocking.rows_of(conn, kind, call)
    return call.decode(rows)


async def _rows(conn: Any, kind: Kind, call: Call[Any]) -> Sequence[Row]:
    match kind:
        case Kind.PSYCOPG_ASYNC:
            return await _psycopg(conn, call)
        case Kind.SQLALCHEMY_ASYNC_SESSION:
            return await _sqlalchemy(await conn.connection(), call)  # joins the session's transaction, or begins it
        case Kind.SQLALCHEMY_ASYNC_CONNECTION:
            return await _sqlalchemy(conn, call)
        case _:
            rows: Sequence[Row] = await conn.fetch(call.numbered(), *call.arguments)
            return rows


async def _psycopg(conn: psycopg.AsyncConnection[Any], call: Call[Any]) -> Sequence[Row]:
    check_open(conn)
    async with psycopg.AsyncCursor(conn, row_factory=tuple_row) as cursor:  # as in the blocking half
        await cursor.execute(call.sql, call.arguments)
        return await cursor.fetchall()


async def _sqlalchemy(connection: Any, call: Call[Any]) -> Sequence[Row]:
    sql, arguments = sqlalchemy_statement(connection.dialect, call)
    rows: Sequence[Row] = (await connection.exec_driver_sql(sql, arguments)).fetchall()
    return rows
