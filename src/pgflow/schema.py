"""Brings a database to the schema of this package, and tells whether it is there.

Sources are the readable files under `sql/`; numbered migrations include them as psql does and are frozen at release.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from os.path import normpath
from pathlib import Path
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg import errors as sqlstate
from psycopg import pq, sql
from psycopg.rows import TupleRow, tuple_row

from pgflow.errors import Drifted, NotInstalled, SchemaError, TooNew, TooOld

PgmqOrigin: TypeAlias = Literal["present", "extension", "sql"]
Cursor: TypeAlias = psycopg.Cursor[TupleRow]

LOCK_KEY = 7_309_744_118_602_715
"""Advisory lock that whoever migrates holds until the end of the transaction."""

OLDEST_SERVER = 15
UPGRADE = "pip install -U pgflow-py"

VERSIONS_QUERY = r"""
select split_part(entry.word, ' ', 1)::int as version, split_part(entry.word, ' ', 2) as name,
  split_part(entry.word, ' ', 3) as checksum
from (
  select case
    when to_regclass('pgflow.migrations') is null then 'select null::tsvector'
    else 'select array_to_tsvector(array[concat_ws('' '', version, name, checksum)]) from pgflow.migrations'
  end
) as source (query)
left join lateral ts_stat(source.query) as entry on true
order by 1
"""
"""Applied migrations as rows for :func:`judge`; one row of nulls where there are none.

A plain select fails to parse while the table is missing, and a failed statement breaks the caller's transaction.
`ts_stat` takes its query as text, and unlike the functions for XML it is in every build of PostgreSQL.
"""

BOOKKEEPING = """\
create schema pgflow;
revoke all on schema pgflow from public;
create table pgflow.migrations (
  version int primary key,
  name text not null,
  checksum text not null,
  applied_at timestamptz not null default now()
);
revoke all on table pgflow.migrations from public;
comment on table pgflow.migrations is 'One row per applied migration of this schema.';
"""

_RECORD = "insert into pgflow.migrations (version, name, checksum) values ({}, {}, {})"
_INCLUDE = re.compile(r"^\\ir[ \t]+(\S+)[ \t]*\n", re.MULTILINE)
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema: `sql` is the expanded text, `checksum` its SHA-256 in hexadecimal."""

    version: int
    name: str
    sql: str
    checksum: str

    @property
    def label(self) -> str:
        """The file's name without its suffix, like `0001_initial`."""
        return f"{self.version:04}_{self.name}"


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What :func:`migrate` did: the migrations it applied, and how pgmq came into the database.

    `pgmq` is "present" (it was there), "extension" (created) or "sql" (installed from the `pgmq` package).
    """

    applied: tuple[Migration, ...]
    pgmq: PgmqOrigin


def expand(path: Path) -> str:
    r"""Return an SQL source with each `\ir file` line replaced by that file's text, as psql would read it.

    Paths are relative to the including file; a comment line announces each included file. Raises
    :class:`SchemaError` where a file is missing or includes itself.
    """
    return _expand(path.resolve(), including=())


def load_migrations(root: Path | None = None) -> tuple[Migration, ...]:
    """Return the migrations of this package in order, or those under `root`/migrations.

    Raises :class:`SchemaError` where a name isn't `NNNN_name.sql` or the numbers aren't 1, 2, 3 and so on.
    """
    directory = (root or _sources()) / "migrations"
    migrations = tuple(_load(path) for path in sorted(directory.glob("*.sql")))
    versions = [migration.version for migration in migrations]
    if versions != list(range(1, len(versions) + 1)):
        raise SchemaError(f"migrations in {directory} must be numbered 1, 2, 3, … without gaps; found {versions}")
    return migrations


def changed_since_release(root: Path | None = None) -> tuple[str, ...]:
    """Return the file names of released migrations that no longer have the text they were released with.

    `migrations.lock` lists the released ones as lines of `NNNN_name.sql checksum`.
    """
    lock = (root or _sources()) / "migrations" / "migrations.lock"
    current = {f"{migration.label}.sql": migration.checksum for migration in load_migrations(root)}
    released = (line.split() for line in lock.read_text(encoding="utf-8").splitlines())
    return tuple(name for name, checksum in released if current.get(name) != checksum)


def migrate(connection: psycopg.Connection[Any], migrations: Sequence[Migration] | None = None) -> MigrationReport:
    """Install the schema, and pgmq where it is missing, or apply what is pending; all of it or nothing.

    Needs no superuser: the database's owner is enough. Of several processes at once the first applies, the others
    wait and find nothing pending. Commits, unless the connection is in a transaction already: then the caller does.
    Raises :class:`NotInstalled` where pgmq is missing and only an administrator can add it, :class:`TooOld` for a
    pgmq before 1.5.0, :class:`TooNew` and :class:`Drifted` where the database doesn't fit this package, and
    :class:`SchemaError` for a schema `pgflow` of other origin, a server before PostgreSQL 15 or missing privileges.

        with psycopg.connect(url) as connection:
            print(migrate(connection).applied)
    """
    packaged = _given_or_packaged(migrations)
    _require_server(connection.info.server_version)
    own_transaction = connection.info.transaction_status == pq.TransactionStatus.IDLE
    try:
        with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
            if own_transaction:
                # With a stricter level the snapshot would be older than the lock, and miss what its last holder did.
                cursor.execute("set transaction isolation level read committed")
            _wait_for_turn(cursor)
            origin = _ensure_pgmq(cursor)
            _ensure_bookkeeping(cursor)
            unapplied = _unapplied(cursor.execute(VERSIONS_QUERY), packaged)
            for migration in unapplied:
                cursor.execute(migration.sql.encode())
                cursor.execute(_record(migration))
            return MigrationReport(unapplied, origin)
    except sqlstate.InsufficientPrivilege as refused:
        raise SchemaError(
            f"{refused.diag.message_primary}; migrate as the owner of the database, who needs USAGE and CREATE on "
            "schema pgmq where somebody else installed it"
        ) from refused
    except sqlstate.ReadOnlySqlTransaction as refused:
        raise SchemaError("this server or session is read-only; run `pgflow migrate` against the primary") from refused


def pending(
    connection: psycopg.Connection[Any], migrations: Sequence[Migration] | None = None
) -> tuple[Migration, ...]:
    """Return the migrations that :func:`migrate` would apply; changes nothing.

    Raises :class:`TooNew` and :class:`Drifted` where the database doesn't fit this package.
    """
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        return _unapplied(cursor.execute(VERSIONS_QUERY), _given_or_packaged(migrations))


def judge(rows: Iterable[Sequence[Any]], migrations: Sequence[Migration] | None = None) -> None:
    """Return if the rows of `VERSIONS_QUERY`, as tuples, are of a database that this package can work with.

    Raises :class:`NotInstalled`, :class:`TooOld`, :class:`TooNew` or :class:`Drifted`, each with the command to run.
    """
    applied = [row for row in rows if row[0] is not None]
    if not applied:
        raise NotInstalled
    missing = _unapplied(applied, _given_or_packaged(migrations))
    if missing:
        labels = ", ".join(migration.label for migration in missing)
        raise TooOld(f"the database's pgflow schema lacks {labels}; run `pgflow migrate`")


def render(migrations: Sequence[Migration] | None = None) -> str:
    """Return the SQL of all migrations with their bookkeeping, for those who run SQL with a tool of their own.

    It is for a database that has pgmq and no schema `pgflow`, and has no transaction commands: the tool, or
    `psql --single-transaction --set ON_ERROR_STOP=1`, runs it in one.
    """
    parts = [
        "-- Schema pgflow, for a database that has pgmq 1.5.0 or newer. Run it in one transaction:\n"
        "-- psql --single-transaction --set ON_ERROR_STOP=1 --file this.sql\n",
        BOOKKEEPING,
    ]
    for migration in _given_or_packaged(migrations):
        parts += [f"-- {migration.label}\n{migration.sql}", f"{_record(migration).as_string(None)};\n"]
    return "\n".join(parts)


def _sources() -> Path:
    return Path(str(files("pgflow").joinpath("sql")))


@cache
def _packaged() -> tuple[Migration, ...]:
    return load_migrations()


def _given_or_packaged(migrations: Sequence[Migration] | None) -> tuple[Migration, ...]:
    return _packaged() if migrations is None else tuple(migrations)


def _expand(path: Path, including: tuple[Path, ...]) -> str:
    if path in including:
        raise SchemaError(f"SQL source {path} includes itself")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SchemaError(f"SQL source {path} is missing") from None

    def included(match: re.Match[str]) -> str:
        return f"-- {match[1]}\n{_expand(Path(normpath(path.parent / match[1])), (*including, path))}"

    return _INCLUDE.sub(included, text if text.endswith("\n") else f"{text}\n")


def _load(path: Path) -> Migration:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise SchemaError(f"migration {path} must be named NNNN_name.sql in lower case")
    text = expand(path)
    return Migration(int(match[1]), match[2], text, hashlib.sha256(text.encode()).hexdigest())


def _require_server(server_version: int) -> None:
    if server_version // 10_000 < OLDEST_SERVER:
        raise SchemaError(
            f"pgflow needs PostgreSQL {OLDEST_SERVER} or newer; this server is {server_version // 10_000}"
        )


def _wait_for_turn(cursor: Cursor) -> None:
    cursor.execute("set local statement_timeout = 0")
    cursor.execute("set local client_min_messages = warning")
    cursor.execute("select pg_advisory_xact_lock(%s)", [LOCK_KEY])


def _ensure_pgmq(cursor: Cursor) -> PgmqOrigin:
    """Install pgmq unless it is there, and refuse one that is too old."""
    origin: PgmqOrigin = "present"
    if _pgmq_attributes(cursor) is None:
        origin = _install_pgmq(cursor)
    if "headers" not in (_pgmq_attributes(cursor) or ()):
        raise TooOld(
            "pgflow needs pgmq 1.5.0 or newer; upgrade the one in this database with ALTER EXTENSION pgmq UPDATE"
        )
    return origin


def _pgmq_attributes(cursor: Cursor) -> list[str] | None:
    """Return the attributes of pgmq's message type, None without pgmq; asks catalogs, which need no privilege."""
    row = cursor.execute("""
        select array_agg(a.attname::text)
        from pg_catalog.pg_namespace n
        join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = 'message_record'
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where n.nspname = 'pgmq'
    """).fetchone()
    return row[0] if row else None


def _install_pgmq(cursor: Cursor) -> PgmqOrigin:
    offered = cursor.execute("select from pg_catalog.pg_available_extensions where name = 'pgmq'").fetchone()
    if offered is None:
        # Imported late: loading the queue's whole client takes time that only an installation needs to spend.
        from pgmq.install import get_embedded_install_sql

        cursor.execute(get_embedded_install_sql().encode())
        return "sql"
    try:
        cursor.execute("create extension pgmq")
    except sqlstate.InsufficientPrivilege as refused:
        info = cursor.connection.info
        raise NotInstalled(
            f"role {info.user} may not create extension pgmq; ask an administrator to run in database {info.dbname}: "
            f'CREATE EXTENSION pgmq; GRANT USAGE, CREATE ON SCHEMA pgmq TO "{info.user}"; GRANT ALL ON ALL TABLES IN '
            f'SCHEMA pgmq TO "{info.user}"; then run `pgflow migrate` again'
        ) from refused
    return "extension"


def _ensure_bookkeeping(cursor: Cursor) -> None:
    """Create schema `pgflow` with its table of migrations, unless this package did so before."""
    row = cursor.execute("""
        select c.oid is not null, to_regprocedure('pgflow.start_tasks(text, bigint[], uuid)') is not null
        from pg_catalog.pg_namespace n
        left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = 'migrations'
        where n.nspname = 'pgflow'
    """).fetchone()
    if row is None:
        cursor.execute(BOOKKEEPING.encode())
    elif not row[0] and row[1]:
        raise SchemaError(
            "the schema pgflow of this database was made by the reference's own migrations, which maintain it; "
            "clients and workers of this package work with it as it is, faster after `pgflow migrate --adopt`, which "
            "adds to it and changes nothing"
        )
    elif not row[0]:
        raise SchemaError(
            "this database has a schema pgflow that was made by other means than `pgflow migrate`, without a table "
            "pgflow.migrations; use another database, or drop that schema if its runs aren't needed"
        )


def _unapplied(rows: Iterable[Sequence[Any]], packaged: Sequence[Migration]) -> tuple[Migration, ...]:
    """Return what of the packaged migrations isn't among the applied rows, after checking those that are."""
    applied = {row[0]: (row[1], row[2]) for row in rows if row[0] is not None}
    known = {migration.version: (migration.name, migration.checksum) for migration in packaged}
    newer = [f"{version:04}_{name}" for version, (name, _) in applied.items() if version not in known]
    if newer:
        raise TooNew(f"the database's pgflow schema is newer than this package ({', '.join(newer)}); run `{UPGRADE}`")
    changed = [f"{version:04}_{name}" for version, (name, _) in applied.items() if applied[version] != known[version]]
    if changed:
        raise Drifted(
            f"applied migrations differ from those of this package: {', '.join(changed)}; run `{UPGRADE}`, or in a "
            "database whose runs aren't needed `drop schema pgflow cascade` and `pgflow migrate`"
        )
    return tuple(migration for migration in packaged if migration.version not in applied)


def _record(migration: Migration) -> sql.Composed:
    return sql.SQL(_RECORD).format(migration.version, migration.name, migration.checksum)
