"""Columns: what they are to PostgreSQL, and to other drivers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import psycopg2  # type: ignore[import-untyped] # it comes without types
import pytest
from psycopg import DataError
from psycopg.rows import DictRow

from pgflow.calls.columns import Booleans, Column, Integers, Texts, Uuids

RUN = UUID("0191f3a2-7c5e-7b00-8000-00000000ffff")

COLUMNS: list[tuple[Column[Any], str]] = [
    (Uuids([RUN, None, UUID(int=0), UUID(int=2**128 - 1)]), "uuid[]"),
    (Uuids(), "uuid[]"),
    (Uuids([None]), "uuid[]"),
    (Texts(["plain", "", "NULL", None, 'a "b" \\ {c,d}', "äöü 漢字 🙂", "\n\t", "plain"]), "text[]"),
    (Texts(["x" * 100_000]), "text[]"),
    (Texts(), "text[]"),
    (Texts([None, None]), "text[]"),
    (Integers([0, 1, -1, 2**31 - 1, -(2**31)]), "integer[]"),
    (Integers([7, None, -7]), "integer[]"),
    (Integers(), "integer[]"),
    (Integers([None]), "integer[]"),
    (Booleans([True, False, None]), "boolean[]"),
    (Booleans(), "boolean[]"),
]


@pytest.mark.parametrize(("column", "array_type"), COLUMNS, ids=lambda value: str(value)[:30])
def test_a_column_arrives_as_an_array_of_its_type(
    connection: psycopg.Connection[DictRow], column: Column[Any], array_type: str
) -> None:
    query = "select %s as column, pg_typeof(%s)::text as type, array_ndims(%s) as dimensions"
    row = connection.execute(query, (column, column, column)).fetchone()
    assert row == {"column": list(column), "type": array_type, "dimensions": 1 if column else None}


def test_a_column_has_as_many_elements_as_there_are(connection: psycopg.Connection[DictRow]) -> None:
    count = 20_000
    columns = (
        Texts(map(str, range(count))),
        Integers(range(count)),
        Uuids(map(UUID, map("{:032x}".format, range(count)))),
    )
    row = connection.execute(
        """
        select count(*) as count, bool_and(t = i::text) as texts, bool_and(u = lpad(to_hex(i), 32, '0')::uuid) as uuids
        from unnest(%s, %s, %s) as element(t, i, u)
        """,
        columns,
    ).fetchone()
    assert row == {"count": count, "texts": True, "uuids": True}


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**80], ids=str)
@pytest.mark.parametrize("others", [[], [None]], ids=["alone", "with NULL"])
def test_a_number_that_is_too_large_is_an_error_of_the_driver(
    connection: psycopg.Connection[DictRow], number: int, others: list[int | None]
) -> None:
    with pytest.raises(DataError, match="a number doesn't fit into int4"):
        connection.execute("select %s", (Integers([number, *others]),))
    assert connection.execute("select 1 as one").fetchone() == {"one": 1}


def test_a_text_that_postgres_cannot_hold_is_an_error_of_the_driver(connection: psycopg.Connection[DictRow]) -> None:
    with pytest.raises(DataError, match="0x00"):
        connection.execute("select %s", (Texts(["a\0b"]),))


@pytest.mark.parametrize(("column", "array_type"), COLUMNS, ids=lambda value: str(value)[:30])
async def test_other_drivers_take_a_column_for_a_list(
    newest_database_url: str, column: Column[Any], array_type: str
) -> None:
    asynchronous = await asyncpg.connect(newest_database_url)
    try:
        assert await asynchronous.fetchval(f"select $1::{array_type}", column) == list(column)
    finally:
        await asynchronous.close()
    blocking = psycopg2.connect(newest_database_url)
    try:
        with blocking.cursor() as cursor:
            plain = [str(value) if isinstance(value, UUID) else value for value in column]
            cursor.execute(f"select %s::{array_type}::text[]", (type(column)(plain),))
            assert len(cursor.fetchone()[0]) == len(column)
    finally:
        blocking.close()
