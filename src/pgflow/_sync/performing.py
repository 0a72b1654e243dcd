"""How the calls of a procedure run, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import Connection
from psycopg.rows import tuple_row

from pgflow.calls import Call
from pgflow.reference import Steps

T = TypeVar("T")


def perform(plan: Call[T] | Steps[T], run: Callable[[Call[Any]], Any]) -> T:
    """Run what a core has planned, with something that runs one call and decodes its rows; return the last answer."""
    if isinstance(plan, Call):
        only: T = run(plan)
        return only
    try:
        call = next(plan)
        while True:
            call = plan.send(run(call))
    except StopIteration as end:
        value: T = end.value
        return value


def run_on(connection: Connection[Any], call: Call[T]) -> T:
    """Run a call on a connection of psycopg."""
    cursor = connection.cursor(row_factory=tuple_row)
    cursor.execute(call.sql, call.arguments)
    return call.decode(cursor.fetchall())
