"""Runs a call on a connection that blocks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.rows import tuple_row

from pgflow.callers.failures import translated
from pgflow.callers.kinds import Kind, check_open, kind_of, plain_arguments, refuse_async, sqlalchemy_statement
from pgflow.calls import Call
from pgflow.calls.call import Row
from pgflow.errors import UnusableConnection

T = TypeVar("T")


def run(conn: Any, call: Call[T]) -> T:
    """Run a call in the transaction of a caller's connection and decode its rows; commit nothing.

    Raises TypeError for what is no connection that blocks, and UnusableConnection for one in no state to be used.
    """
    kind = kind_of(conn)
    if kind.is_async:
        refuse_async(kind)
    with translated():
        rows = rows_of(conn, kind, call)
    return call.decode(rows)


def rows_of(conn: Any, kind: Kind, call: Call[Any]) -> Sequence[Row]:
    """Run a call on a connection of this kind and return its rows."""
    match kind:
        case Kind.PSYCOPG:
            return _psycopg(conn, call)
        case Kind.SQLALCHEMY_SESSION:
            return _sqlalchemy(conn.connection(), call)  # joins the session's transaction, or begins it
        case Kind.SQLALCHEMY_CONNECTION:
            return _sqlalchemy(conn, call)
        case Kind.DJANGO:
            return _django(conn, call)
        case _:
            return _psycopg2(conn, call)


def _psycopg(conn: psycopg.Connection[Any], call: Call[Any]) -> Sequence[Row]:
    check_open(conn)
    with psycopg.Cursor(conn, row_factory=tuple_row) as cursor:  # the connection may make cursors of another kind
        return cursor.execute(call.sql, call.arguments).fetchall()


def _psycopg2(conn: Any, call: Call[Any]) -> Sequence[Row]:
    check_open(conn)
    with conn.cursor(cursor_factory=sys.modules["psycopg2.extensions"].cursor) as cursor:  # for the same reason
        cursor.execute(call.sql, plain_arguments(call))
        rows: Sequence[Row] = cursor.fetchall()
        return rows


def _sqlalchemy(connection: Any, call: Call[Any]) -> Sequence[Row]:
    sql, arguments = sqlalchemy_statement(connection.dialect, call)
    rows: Sequence[Row] = connection.exec_driver_sql(sql, arguments).fetchall()
    return rows


def _django(connection: Any, call: Call[Any]) -> Sequence[Row]:
    if connection.vendor != "postgresql":
        raise UnusableConnection(f"database {connection.alias!r} is {connection.display_name}, not PostgreSQL")
    with connection.cursor() as cursor:
        cursor.execute(call.sql, plain_arguments(call))
        rows: Sequence[Row] = cursor.fetchall()
        return rows
