"""Installs this package's functions beside those of the reference's migrations, and removes exactly those again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors as sqlstate
from psycopg import sql
from psycopg.rows import TupleRow, tuple_row

from pgflow import schema
from pgflow.errors import NotInstalled, SchemaError
from pgflow.reference.core import DETECTION_QUERY, Core, detect
from pgflow.reference.sources import Function, functions

_BOOKKEEPING = """\
create table pgflow.adopted_functions (
  signature text not null,
  adopted_at timestamptz not null default now(),
  constraint adopted_functions_pkey primary key (signature)
);
revoke all on table pgflow.adopted_functions from public;
comment on table pgflow.adopted_functions is 'Functions that `pgflow migrate --adopt` has added to this schema, which \
belongs to the reference''s migrations. `pgflow migrate --adopt --remove` drops them, and this table.';
"""
_RECORD = "insert into pgflow.adopted_functions (signature) values ({})"


@dataclass(frozen=True, slots=True)
class Adoption:
    """What :func:`adopt` or :func:`remove` did: the signatures added or removed, and the version of the core."""

    signatures: tuple[str, ...]
    version: str


def adopt(connection: psycopg.Connection[Any]) -> Adoption:
    """Add functions of this package to a schema `pgflow` that the reference's own migrations have made.

    Nothing of that schema is changed, and no row of it; whoever works with it goes on. Functions of these names that
    are there already are left alone. Again brings the functions to those of this version of the package. All of it or
    nothing; commits unless the connection is in a transaction already. Raises SchemaError for a schema that
    `pgflow migrate` has made, NotInstalled where there is none, TooOld for a core or a pgmq that is too old, and
    SchemaError where the role isn't the owner of the schema.
    """
    return _change(connection, _adopt)


def remove(connection: psycopg.Connection[Any]) -> Adoption:
    """Remove what :func:`adopt` has added, and nothing else. Raises SchemaError where nothing was adopted."""
    return _change(connection, _remove)


def is_adopted(connection: psycopg.Connection[Any]) -> bool:
    """Whether :func:`adopt` was here. Raises what :func:`adopt` raises for a schema of another kind."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return _detect(cursor).is_adopted


def render() -> str:
    """Return the SQL of :func:`adopt` for those who run SQL with a tool of their own, for a schema not adopted yet.

    It is for a core that has no functions of these names, as none up to 0.14.1 has. Run it in one transaction.
    """
    parts = [
        "-- Functions for a schema pgflow made by the reference's migrations. Run it in one transaction:\n"
        "-- psql --single-transaction --set ON_ERROR_STOP=1 --file this.sql\n",
        _BOOKKEEPING,
    ]
    for function in functions().values():
        parts += [function.source, _secured(function), f"{_record(function).as_string(None)};\n"]
    return "\n".join(parts)


def _change(
    connection: psycopg.Connection[Any], change: Callable[[psycopg.Cursor[TupleRow], Core], Adoption]
) -> Adoption:
    try:
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute("set local client_min_messages = warning")
            cursor.execute("select pg_advisory_xact_lock(%s)", [schema.LOCK_KEY])
            return change(cursor, _detect(cursor))
    except sqlstate.InsufficientPrivilege as refused:
        raise SchemaError(
            f"{refused.diag.message_primary}; connect as the owner of schema pgflow, who needs CREATE on it"
        ) from refused
    except sqlstate.ReadOnlySqlTransaction as refused:
        raise SchemaError("this server or session is read-only; connect to the primary") from refused


def _detect(cursor: psycopg.Cursor[TupleRow]) -> Core:
    rows = cursor.execute(DETECTION_QUERY).fetchall()
    if ("column", "migrations.checksum") in rows:
        raise SchemaError("the schema pgflow of this database was made by `pgflow migrate`; there is nothing to adopt")
    try:
        return detect(rows)
    except NotInstalled:
        raise NotInstalled(
            "no schema pgflow in this database was made by the reference's migrations; run `pgflow migrate`"
        ) from None


def _adopt(cursor: psycopg.Cursor[TupleRow], core: Core) -> Adoption:
    if core.is_adopted:
        _drop_added(cursor)
    cursor.execute(_BOOKKEEPING)
    added = [function for function in functions().values() if not _exists(cursor, function)]
    for function in added:
        cursor.execute(function.source.encode())
        cursor.execute(_secured(function).encode())
        cursor.execute(_record(function))
    return Adoption(tuple(function.signature for function in added), core.version)


def _remove(cursor: psycopg.Cursor[TupleRow], core: Core) -> Adoption:
    if not core.is_adopted:
        raise SchemaError("nothing was added to this schema by `pgflow migrate --adopt`, so there is nothing to remove")
    return Adoption(_drop_added(cursor), core.version)


def _drop_added(cursor: psycopg.Cursor[TupleRow]) -> tuple[str, ...]:
    rows = cursor.execute("select signature from pgflow.adopted_functions order by signature").fetchall()
    for (signature,) in rows:
        cursor.execute(sql.SQL("drop function if exists {}").format(sql.SQL(signature)))
    cursor.execute("drop table pgflow.adopted_functions")
    return tuple(signature for (signature,) in rows)


def _exists(cursor: psycopg.Cursor[TupleRow], function: Function) -> bool:
    row = cursor.execute(
        "select from pg_catalog.pg_proc where pronamespace = 'pgflow'::regnamespace and proname = %s", [function.name]
    ).fetchone()
    return row is not None


def _secured(function: Function) -> str:
    return f"revoke all on function {function.signature} from public;\n"


def _record(function: Function) -> sql.Composed:
    return sql.SQL(_RECORD).format(function.signature)
