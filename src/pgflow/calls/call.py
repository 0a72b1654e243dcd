"""What a call is, and how the rows of several calls are read."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from pgflow.errors import RunNotFound
from pgflow.serialize import decode
from pgflow.types import Json

T = TypeVar("T")
Row: TypeAlias = Sequence[Any]

_PLACEHOLDER = re.compile("%([s%])")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A statement in psycopg's style, its arguments, and the decoder of all its rows."""

    sql: str
    arguments: tuple[Any, ...]
    decode: Callable[[Sequence[Row]], T]

    def numbered(self) -> str:
        """Return the statement with `$1`, `$2`, … in place of each `%s`, as asyncpg and PREPARE take it."""
        numbers = itertools.count(1)
        return _PLACEHOLDER.sub(lambda found: "%" if found[1] == "%" else f"${next(numbers)}", self.sql)


def nothing(rows: Sequence[Row]) -> None:
    """Decode the row of a function that returns void."""


def only(rows: Sequence[Row], run_id: UUID) -> Row:
    """Return the one row of a run. Raises RunNotFound when there is none."""
    if not rows:
        raise RunNotFound(run_id)
    return rows[0]


def json_value(text: str | None) -> Json:
    """Read JSON text; SQL's NULL is None as JSON's null is."""
    return None if text is None else decode(text)


def first_value(rows: Sequence[Row]) -> Any:
    """Return the value of a function that gives one."""
    return rows[0][0]


def from_json(kind: type[T], row: dict[str, Json]) -> T:
    """Build a row from its JSON form, by the names of its columns; columns this version doesn't know are left out."""
    return kind(*[_column(name, row.get(name)) for name in _field_names(kind)])  # type: ignore[arg-type] # a class can be hashed


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _column(name: str, value: Json) -> Any:
    if value is None:
        return None
    if name in ("run_id", "last_worker_id"):
        return UUID(value)
    if name.endswith("_at") or name == "vt":
        return datetime.fromisoformat(value)
    return value
