"""Whether a database is ready for pgflow, as a list of findings, each with what to do.

::

    for check in check_database("postgresql://…"):
        print(check.status, check.name, check)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, Final, Literal, TypeAlias

import psycopg

from pgflow import reference, schema
from pgflow.calls import Call
from pgflow.connecting import connection_options, is_refused_by_pooler
from pgflow.database_url import describe, resolve_url, why_not
from pgflow.errors import NotGranted, NotInstalled, PgFlowError, SchemaError

Status: TypeAlias = Literal["ok", "warning", "failed"]
Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

STARTER_FUNCTIONS: Final = ("start_flows", "get_run", "get_run_with_states")
WORKER_FUNCTIONS: Final = ("compare_flow", "keep_alive", "exchange_tasks", "extend_leases", "stop_workers")
"""What a role must be able to call to be a starter or a worker: some of what is granted to it."""

LARGEST_SKEW: Final = timedelta(seconds=5)

_ERRORS: Final[dict[str, type[SchemaError]]] = {"pgmq": NotInstalled, "role": NotGranted}

logger = logging.getLogger("pgflow.worker")

_FACTS = """
select current_setting('server_version'), current_setting('server_version_num')::int / 10000, current_user::text,
  current_setting('transaction_read_only')::boolean, clock_timestamp(),
  (select array_agg(a.attname::text)
   from pg_catalog.pg_namespace n
   join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = 'message_record'
   join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
   where n.nspname = 'pgmq'),
  (select e.extversion from pg_catalog.pg_extension e where e.extname = 'pgmq'),
  (select pg_catalog.pg_get_userbyid(n.nspowner)::text from pg_catalog.pg_namespace n where n.nspname = 'pgflow'),
  (select pg_catalog.pg_has_role(n.nspowner, 'usage') from pg_catalog.pg_namespace n where n.nspname = 'pgflow'),
  (select array_agg(distinct p.proname::text)
   from pg_catalog.pg_namespace n
   join pg_catalog.pg_proc p on p.pronamespace = n.oid
   where n.nspname = 'pgflow' and p.proname::text = any(%s::text[])
     and not (pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_function_privilege(p.oid, 'execute')))
"""
"""Catalogs only: it needs no right, and works where nothing is installed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, how it is, and, where something should be done, what."""

    name: str
    status: Status
    message: str
    remedy: str | None = None

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class Facts:
    """What a database says about itself; `refused` are those of the functions that the role may not call."""

    server_version: str
    server_major: int
    role: str
    is_read_only: bool
    clock: datetime
    pgmq_attributes: frozenset[str] | None
    pgmq_version: str | None
    owner: str | None
    is_owner: bool
    refused: frozenset[str]


def facts() -> Call[Facts]:
    """Ask a database about itself, in one round trip."""
    return Call(_FACTS, ([*STARTER_FUNCTIONS, *WORKER_FUNCTIONS],), lambda rows: _read(*rows[0]))


def check_database(url: str | None = None) -> list[Check]:
    """Look at a database and return what was found, never raising for trouble; it changes nothing.

    `url` as in :class:`pgflow.PgFlow`; the embedded server is started and migrated. What can't be looked at because of
    something before is left out.
    """
    try:
        target = resolve_url(url)
        with _connect(target) as connection:
            return [Check("connection", "ok", describe(target)), *_look(connection, target)]
    except (psycopg.Error, UnicodeError) as error:
        return [_failed("connection", why_not(target, error))]
    except PgFlowError as error:
        return [_failed("connection", error)]


def judge(found: Facts, *, skew: timedelta = timedelta(0)) -> Iterator[Check]:
    """Say how each of the facts is. `skew` is by how much the database's clock is ahead of this machine's."""
    yield _server(found)
    yield _pgmq(found)
    if found.owner is not None:
        yield _role(found)
    yield _clock(skew)


def require_worker(found: Facts, asked_at: datetime, answered_at: datetime) -> None:
    """Return if a worker can work here; log a warning for what is only strange.

    Raises NotInstalled without pgmq, NotGranted for a role that may not work tasks, else SchemaError.
    """
    for check in judge(found, skew=measured_skew(found.clock, asked_at, answered_at)):
        if check.status == "failed":
            raise _ERRORS.get(check.name, SchemaError)(str(check))
        if check.status == "warning" and check.name == "role":
            raise NotGranted(f"role {found.role} may only start runs, not work them; {_grant(found, 'worker')}")
        if check.status == "warning":
            logger.warning("%s", check)


def measured_skew(clock: datetime, asked_at: datetime, answered_at: datetime) -> timedelta:
    """Return by how much a clock that was read between two instants is ahead, or behind if negative, at least."""
    if clock > answered_at:
        return clock - answered_at
    return min(clock - asked_at, timedelta(0))


def _read(
    server_version: str,
    server_major: int,
    role: str,
    is_read_only: bool,
    clock: datetime,
    pgmq_attributes: list[str] | None,
    pgmq_version: str | None,
    owner: str | None,
    is_owner: bool | None,
    refused: list[str] | None,
) -> Facts:
    attributes = None if pgmq_attributes is None else frozenset(pgmq_attributes)
    owned = bool(is_owner)
    return Facts(
        server_version,
        server_major,
        role,
        is_read_only,
        clock,
        attributes,
        pgmq_version,
        owner,
        owned,
        frozenset(refused or ()),
    )


def _connect(url: str, **options: Any) -> Connection:
    """Connect as a client does, behind a pooler too."""
    try:
        return psycopg.connect(url, **{**connection_options(url), **options})
    except psycopg.OperationalError as error:
        if not is_refused_by_pooler(error):
            raise
        return psycopg.connect(url, **{**connection_options(url, pooled=True), **options})


def _look(connection: Connection, url: str) -> Iterator[Check]:
    call = facts()
    asked_at = datetime.now(UTC)
    found = call.decode(connection.execute(call.sql, call.arguments).fetchall())
    skew = measured_skew(found.clock, asked_at, datetime.now(UTC))
    server, pgmq, *rest = judge(found, skew=skew)
    yield server
    yield pgmq
    yield _schema(connection, found)
    yield from rest
    yield _pooler(connection, url)


def _failed(name: str, error: Exception) -> Check:
    message, _, remedy = " ".join(str(error).split()).partition("; ")
    return Check(name, "failed", message, remedy or None)


def _server(found: Facts) -> Check:
    about = f"PostgreSQL {found.server_version.split()[0]}, pgflow-py {version('pgflow-py')}"
    if found.server_major < schema.OLDEST_SERVER:
        return Check("versions", "failed", about, f"use a server from PostgreSQL {schema.OLDEST_SERVER} on")
    if found.is_read_only:
        return Check("versions", "failed", f"{about}: read-only", "connect to the primary, in a session that may write")
    return Check("versions", "ok", about)


def _pgmq(found: Facts) -> Check:
    if found.pgmq_attributes is None:
        return Check("pgmq", "failed", "pgmq isn't in this database", "run `pgflow migrate`, which installs it")
    about = f"extension {found.pgmq_version}" if found.pgmq_version else "installed from SQL, without extension"
    if "headers" not in found.pgmq_attributes:
        return Check("pgmq", "failed", f"{about}, older than 1.5.0", "run ALTER EXTENSION pgmq UPDATE")
    return Check("pgmq", "ok", about)


def _schema(connection: Connection, found: Facts) -> Check:
    if found.owner is None:
        return _failed("schema", NotInstalled())
    try:
        rows = connection.execute(schema.VERSIONS_QUERY).fetchall()
        schema.judge(rows)
    except NotInstalled:
        return _schema_of_the_reference(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        message = (error.diag.message_primary or str(error)).strip()
        return Check("schema", "failed", message, _grant(found, "worker"))
    except SchemaError as error:
        return _failed("schema", error)
    return Check("schema", "ok", f"all of its migrations, {len(rows)} of {len(rows)}")


def _schema_of_the_reference(connection: Connection) -> Check:
    try:
        core = reference.detect(connection.execute(reference.DETECTION_QUERY).fetchall())
    except SchemaError as error:
        return _failed("schema", error)
    how = "adopted" if core.is_adopted else "as it is; `pgflow migrate --adopt` makes workers faster"
    return Check("schema", "ok", f"made by the reference's migrations, core {core.version}, {how}")


def _role(found: Facts) -> Check:
    if found.is_owner:
        return Check("role", "ok", f"{found.role} may do everything, as owner of schema pgflow")
    if found.refused.isdisjoint(STARTER_FUNCTIONS + WORKER_FUNCTIONS):
        return Check("role", "ok", f"{found.role} is a worker: may work tasks and start runs; {found.owner} owns flows")
    if found.refused.isdisjoint(STARTER_FUNCTIONS):
        message = f"{found.role} is a starter: may only start runs"
        return Check("role", "warning", message, f"for a worker, {_grant(found, 'worker')}")
    return Check("role", "failed", f"{found.role} may not use schema pgflow", _grant(found, "worker"))


def _grant(found: Facts, kind: str) -> str:
    role = found.role.replace("'", "''")
    return f"as {found.owner} run: select pgflow.grant_{kind}('{role}')"


def _clock(skew: timedelta) -> Check:
    seconds = skew.total_seconds()
    if abs(skew) <= LARGEST_SKEW:
        return Check("clock", "ok", "this machine's and the database's agree")
    way = "ahead of" if seconds > 0 else "behind"
    message = f"the database's clock is {abs(seconds):,.0f} s {way} this machine's"
    return Check("clock", "warning", message, "set both by a time server (NTP); times are the database's")


def _pooler(connection: Connection, url: str) -> Check:
    """Find a pooler by the process ids that it makes up, and its mode by whether a second client gets the same server.

    The first client is idle meanwhile: in session mode its server stays its own.
    """
    mine = _process_id(connection)
    if mine == connection.info.backend_pid:
        return Check("pooler", "ok", "none, notifications arrive")
    with _connect(url) as other:
        shared = _process_id(other) == mine
    mode = "in transaction mode" if shared else "that seems to keep sessions"
    remedy = "workers look for tasks every half second; with listen_url they are told, on a direct connection"
    if not shared:
        remedy = "workers look for tasks every half second; with listen_url set to the same URL they are told"
    return Check("pooler", "warning", f"a connection pooler {mode}", remedy)


def _process_id(connection: Connection) -> int:
    (found,) = connection.execute("select pg_catalog.pg_backend_pid()").fetchone() or (0,)
    return int(found)
