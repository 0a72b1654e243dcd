"""Whose connection it is. No library is imported to find out: one that isn't loaded has made no connection."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, NoReturn, TypeAlias
from uuid import UUID

from pgflow.calls import Call
from pgflow.errors import UnusableConnection

ClassName: TypeAlias = tuple[str, str]
"""The module of a class, and its name there."""


class Kind(Enum):
    """Kinds of connections; the value is what messages call it."""

    PSYCOPG = "psycopg Connection"
    PSYCOPG_ASYNC = "psycopg AsyncConnection"
    PSYCOPG2 = "psycopg2 connection"
    ASYNCPG = "asyncpg Connection"
    SQLALCHEMY_CONNECTION = "SQLAlchemy Connection"
    SQLALCHEMY_SESSION = "SQLAlchemy Session"
    SQLALCHEMY_ASYNC_CONNECTION = "SQLAlchemy AsyncConnection"
    SQLALCHEMY_ASYNC_SESSION = "SQLAlchemy AsyncSession"
    DJANGO = "Django connection"

    @property
    def is_async(self) -> bool:
        """Whether its statements are awaited."""
        return self in _ASYNC_KINDS


_ASYNC_KINDS: Final = frozenset(
    {Kind.PSYCOPG_ASYNC, Kind.ASYNCPG, Kind.SQLALCHEMY_ASYNC_CONNECTION, Kind.SQLALCHEMY_ASYNC_SESSION}
)
_KIND_OF: Final[Mapping[ClassName, Kind]] = {
    ("psycopg", "Connection"): Kind.PSYCOPG,
    ("psycopg", "AsyncConnection"): Kind.PSYCOPG_ASYNC,
    ("psycopg2.extensions", "connection"): Kind.PSYCOPG2,
    ("asyncpg", "Connection"): Kind.ASYNCPG,
    ("sqlalchemy.engine", "Connection"): Kind.SQLALCHEMY_CONNECTION,
    ("sqlalchemy.orm", "Session"): Kind.SQLALCHEMY_SESSION,
    ("sqlalchemy.orm", "scoped_session"): Kind.SQLALCHEMY_SESSION,
    ("sqlalchemy.ext.asyncio", "AsyncConnection"): Kind.SQLALCHEMY_ASYNC_CONNECTION,
    ("sqlalchemy.ext.asyncio", "AsyncSession"): Kind.SQLALCHEMY_ASYNC_SESSION,
    ("sqlalchemy.ext.asyncio", "async_scoped_session"): Kind.SQLALCHEMY_ASYNC_SESSION,
    ("django.db.backends.base.base", "BaseDatabaseWrapper"): Kind.DJANGO,
    ("django.utils.connection", "ConnectionProxy"): Kind.DJANGO,
}
_NUMBERED_DRIVERS: Final = frozenset({"asyncpg"})
_KNOWN_DRIVERS: Final = _NUMBERED_DRIVERS | {"psycopg", "psycopg2"}


def kind_of(conn: object) -> Kind:
    """Return what kind of connection it is. Raises TypeError for anything else."""
    for class_name, kind in _KIND_OF.items():
        if is_a(conn, class_name):
            return kind
    known = ", ".join(kind.value for kind in Kind)
    raise TypeError(f"conn must be an open connection ({known}), not {type(conn).__module__}.{type(conn).__qualname__}")


def is_a(value: object, class_name: ClassName) -> bool:
    """Whether a value is an instance of a class, which needn't be loaded."""
    module, name = class_name
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def refuse_async(kind: Kind) -> NoReturn:
    """Raise TypeError for a connection that the blocking client can't await."""
    raise TypeError(f"a {kind.value} must be awaited: use pgflow.PgFlow, or give pgflow.sync.PgFlow a blocking one")


def check_open(conn: Any) -> None:
    """Raise UnusableConnection for a connection of psycopg or psycopg2 that is closed."""
    if conn.closed:
        raise UnusableConnection("it is closed")


def sqlalchemy_statement(dialect: Any, call: Call[Any]) -> tuple[str, tuple[Any, ...]]:
    """Return statement and arguments as the driver below SQLAlchemy takes them.

    Raises UnusableConnection for another database or a driver that isn't known.
    """
    if dialect.name != "postgresql":
        raise UnusableConnection(f"its engine is for {dialect.name}, not for PostgreSQL")
    if dialect.driver not in _KNOWN_DRIVERS:
        known = ", ".join(sorted(_KNOWN_DRIVERS))
        raise UnusableConnection(f"its engine uses {dialect.driver}; known drivers: {known}")
    sql = call.numbered() if dialect.driver in _NUMBERED_DRIVERS else call.sql
    return sql, plain_arguments(call)


def plain_arguments(call: Call[Any]) -> tuple[Any, ...]:
    """Return the arguments with ids as text, since psycopg2 knows no UUID unless it is told."""
    return tuple(_plain(argument) for argument in call.arguments)


def _plain(argument: Any) -> Any:
    match argument:
        case UUID():
            return str(argument)
        case list():
            return [_plain(element) for element in argument]
        case _:
            return argument


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it wraps, down to the driver's own."""
    wrapped = getattr(error, "orig", None) or error.__cause__
    yield error
    if isinstance(wrapped, BaseException) and wrapped is not error:
        yield from chain_of(wrapped)
