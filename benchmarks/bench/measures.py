"""What a workload costs the server, from its own statistics."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg

from bench.servers import Postgres

# The server adds up what a session did when the session ends, and at most a second later.
_SETTLED_AFTER = 1.5


@dataclass(frozen=True, slots=True)
class Costs:
    """Totals since the server began to count, of one database; statements are those that clients send."""

    transactions: int
    wal_bytes: int
    statements: int | None
    updates: int
    hot_updates: int

    def since(self, before: Costs) -> Costs:
        """Return what came on top of `before`."""
        statements = None if self.statements is None else self.statements - (before.statements or 0)
        return Costs(
            self.transactions - before.transactions,
            self.wal_bytes - before.wal_bytes,
            statements,
            self.updates - before.updates,
            self.hot_updates - before.hot_updates,
        )


def read_costs(server: Postgres, database: str) -> Costs:
    """Read the totals of a database that nobody uses at the moment."""
    time.sleep(_SETTLED_AFTER)
    with server.superuser() as connection:
        [transactions] = _row(
            connection, "select xact_commit + xact_rollback from pg_stat_database where datname = %s", database
        )
        [wal_bytes] = _row(connection, "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
        statements = count_statements(server, connection, database)
    with server.superuser(database) as connection:
        updates, hot_updates = _row(
            connection, "select sum(n_tup_upd)::bigint, sum(n_tup_hot_upd)::bigint from pg_stat_user_tables"
        )
    return Costs(transactions, wal_bytes, statements, updates, hot_updates)


def count_statements(server: Postgres, connection: psycopg.Connection[tuple[int, ...]], database: str) -> int | None:
    """Return how many statements clients of a database have sent, where the server can count them."""
    if not server.counts_statements:
        return None
    connection.execute("create extension if not exists pg_stat_statements")
    [statements] = _row(
        connection,
        "select coalesce(sum(s.calls), 0)::bigint from pg_stat_statements s"
        " join pg_database d on d.oid = s.dbid where d.datname = %s and s.toplevel",
        database,
    )
    return statements


def _row(connection: psycopg.Connection[tuple[int, ...]], query: str, *arguments: str) -> tuple[int, ...]:
    row = connection.execute(query.encode(), arguments or None).fetchone()
    assert row is not None
    return tuple(int(value or 0) for value in row)
