"""Columns of many values, sent as arrays in the binary format of PostgreSQL.

psycopg looks at each element of a list, finds out what the list is, and quotes what may need it. A worker sends the
same columns all day: they say what they are.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from psycopg import DataError, adapters
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

T = TypeVar("T")

_NULL = b"\xff\xff\xff\xff"
_UUID_LENGTH = b"\x00\x00\x00\x10"
_BOOLEANS = {None: _NULL, False: b"\x00\x00\x00\x01\x00", True: b"\x00\x00\x00\x01\x01"}


class Column(list[T | None]):
    """A list of values of one type, which is an array to PostgreSQL. Other drivers take it for the list that it is."""

    element_type: ClassVar[str]

    def elements(self) -> bytes:
        """Return the elements in the binary format, each behind its length."""
        raise NotImplementedError


class Uuids(Column[UUID]):
    """An array of type uuid[]."""

    element_type = "uuid"

    def elements(self) -> bytes:
        """Return the elements in the binary format, each behind its length."""
        return b"".join([_NULL if value is None else _UUID_LENGTH + value.bytes for value in self])


class Texts(Column[str]):
    """An array of type text[]."""

    element_type = "text"

    def elements(self) -> bytes:
        """Return the elements in the binary format, each behind its length; the same text is encoded once."""
        encoded = {value: _NULL if value is None else _text(value) for value in set(self)}
        return b"".join([encoded[value] for value in self])


class Integers(Column[int]):
    """An array of type int4[]."""

    element_type = "int4"

    def elements(self) -> bytes:
        """Return the elements in the binary format, each behind its length."""
        if None in self:
            return b"".join([_NULL if value is None else struct.pack("!ii", 4, value) for value in self])
        numbers: list[Any] = [4] * (2 * len(self))
        numbers[1::2] = self
        return struct.pack(f"!{len(numbers)}i", *numbers)


class Booleans(Column[bool]):
    """An array of type bool[]."""

    element_type = "bool"

    def elements(self) -> bytes:
        """Return the elements in the binary format, each behind its length."""
        return b"".join([_BOOLEANS[value] for value in self])


def _text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(4, "big") + data


class _ColumnDumper(Dumper):
    format = Format.BINARY

    element_oid: ClassVar[int]

    def dump(self, obj: Column[Any]) -> Buffer:
        """Return an array of one dimension, or of none if it is empty."""
        if not obj:
            return struct.pack("!iiI", 0, 0, self.element_oid)
        head = struct.pack("!iiIii", 1, None in obj, self.element_oid, len(obj), 1)
        try:
            return head + obj.elements()
        except struct.error as error:
            raise DataError(f"a number doesn't fit into {obj.element_type}: {error}") from error


def _register(column: type[Column[Any]]) -> None:
    known = adapters.types[column.element_type]
    dumper = type(f"{column.__name__}Dumper", (_ColumnDumper,), {"oid": known.array_oid, "element_oid": known.oid})
    adapters.register_dumper(column, dumper)


for _column in (Uuids, Texts, Integers, Booleans):
    _register(_column)
