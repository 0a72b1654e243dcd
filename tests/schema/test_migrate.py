"""Migrating real databases as an ordinary role that owns them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from conftest import as_superuser
from pgflow.errors import Drifted, NotInstalled, SchemaError, TooNew, TooOld
from pgflow.schema import LOCK_KEY, VERSIONS_QUERY, Migration, _require_server, judge, load_migrations, migrate, pending

SCHEMAS = "select nspname from pg_namespace where nspname in ('pgflow', 'pgmq')"
DEADLINE = 20


@pytest.fixture
def database(empty_database_url):
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        yield connection


def wait_for(connection: psycopg.Connection, query: str, count: int) -> None:
    """Wait until a query returns this many rows."""
    deadline = time.monotonic() + DEADLINE
    while len(connection.execute(query).fetchall()) != count:
        assert time.monotonic() < deadline, query
        time.sleep(0.01)


@pytest.mark.feature("A4.15")
def test_an_empty_database_gets_pgmq_and_all_migrations(database, migrations):
    report = migrate(database, migrations)
    assert report.applied == migrations
    assert report.pgmq == "sql"
    assert database.execute("select version, name, checksum from pgflow.migrations order by 1").fetchall() == [
        (migration.version, migration.name, migration.checksum) for migration in migrations
    ]
    assert database.execute("select pgflow.one()").fetchone() == (1,)
    assert database.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (False,)


def test_migrating_again_finds_nothing_pending(database, migrations):
    migrate(database, migrations)
    report = migrate(database, migrations)
    assert report.applied == ()
    assert report.pgmq == "present"


def test_only_pending_migrations_are_applied(database, migrations):
    migrate(database, migrations[:1])
    assert pending(database, migrations) == migrations[1:]
    assert migrate(database, migrations).applied == migrations[1:]
    assert pending(database, migrations) == ()


def test_everything_is_pending_in_an_empty_database(database, migrations):
    assert pending(database, migrations) == migrations


def test_a_failing_migration_leaves_nothing(database, migrations):
    broken = Migration(3, "broken", "select 1 / 0;\n", "0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(database, (*migrations, broken))
    assert database.execute(SCHEMAS).fetchall() == []


def test_a_connection_without_autocommit_is_committed(empty_database_url, migrations):
    with psycopg.connect(empty_database_url) as first, psycopg.connect(empty_database_url) as second:
        migrate(first, migrations)
        assert pending(second, migrations) == ()


def test_inside_a_transaction_the_caller_commits(empty_database_url, migrations):
    with psycopg.connect(empty_database_url) as first, psycopg.connect(empty_database_url) as second:
        first.execute("select 1")
        migrate(first, migrations)
        assert pending(second, migrations) == migrations
        first.commit()
        assert pending(second, migrations) == ()


def test_the_table_of_migrations_is_closed_to_the_public(database, migrations):
    database.execute("alter default privileges grant select on tables to public")
    migrate(database, migrations)
    grants = "select 1 from information_schema.table_privileges where table_name = 'migrations' and grantee = 'PUBLIC'"
    assert database.execute(grants).fetchall() == []


def test_a_schema_of_other_origin_is_refused(database, migrations):
    database.execute("create schema pgflow")
    with pytest.raises(SchemaError, match="made by other means"):
        migrate(database, migrations)
    assert database.execute(SCHEMAS).fetchall() == [("pgflow",)]


def test_an_applied_migration_with_another_text_is_refused_and_named(database, migrations):
    migrate(database, migrations)
    edited = (migrations[0], replace(migrations[1], checksum="another"))
    with pytest.raises(Drifted, match="0002_count"):
        migrate(database, edited)
    with pytest.raises(Drifted, match="0002_count"):
        pending(database, edited)


def test_a_database_with_unknown_migrations_is_refused(database, migrations):
    migrate(database, migrations)
    with pytest.raises(TooNew, match=r"0002_count.*pip install -U pgflow-py"):
        migrate(database, migrations[:1])


def test_a_role_that_may_not_create_is_told_what_it_needs(server, database, migrations, empty_database_url):
    with server.superuser() as superuser:
        superuser.execute("drop role if exists guest")
        superuser.execute("create role guest login")
    refused = pytest.raises(SchemaError, match="migrate as the owner of the database")
    with psycopg.connect(empty_database_url.replace("//app@", "//guest@")) as guest, refused:
        migrate(guest, migrations)


def test_a_read_only_session_is_told_to_use_the_primary(empty_database_url, migrations):
    with psycopg.connect(empty_database_url) as connection:
        connection.read_only = True
        with pytest.raises(SchemaError, match="primary"):
            migrate(connection, migrations)


@pytest.mark.feature("A4.2")
def test_a_server_before_15_is_refused():
    with pytest.raises(SchemaError, match="needs PostgreSQL 15 or newer; this server is 14"):
        _require_server(140_012)


def test_a_short_statement_timeout_of_the_role_does_not_matter(database, migrations):
    database.execute("set statement_timeout = 50")
    slow = Migration(3, "slow", "select pg_sleep(0.1);\n", "0")
    assert migrate(database, (*migrations, slow)).applied[-1] == slow


@pytest.mark.parametrize("level", list(psycopg.IsolationLevel))
def test_of_two_at_once_one_applies_and_the_other_finds_nothing(database, empty_database_url, migrations, level):
    def one() -> int:
        with psycopg.connect(empty_database_url) as connection:
            connection.isolation_level = level
            return len(migrate(connection, migrations).applied)

    waiting = "select 1 from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()"
    with ThreadPoolExecutor() as threads:
        database.execute("select pg_advisory_lock(%s)", [LOCK_KEY])
        migrators = [threads.submit(one) for _ in range(2)]
        wait_for(database, f"{waiting} where locktype = 'advisory' and not granted", 2)
        database.execute("select pg_advisory_unlock(%s)", [LOCK_KEY])
        assert sorted(migrator.result() for migrator in migrators) == [0, 2]


MIGRATE_IN_PROCESS = """
import sys, psycopg
from pathlib import Path
from pgflow.schema import load_migrations, migrate
with psycopg.connect(sys.argv[1], application_name="killed") as connection:
    migrate(connection, load_migrations(Path(sys.argv[2])))
"""


def test_a_migration_killed_half_way_leaves_nothing(database, empty_database_url, migrations, write, tmp_path):
    write("migrations/0003_held.sql", "select pg_advisory_lock(1);\n")
    database.execute("select pg_advisory_lock(1)")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", MIGRATE_IN_PROCESS, empty_database_url, str(tmp_path)]
    with subprocess.Popen(command, env=environment) as process:
        sessions = "select 1 from pg_stat_activity where application_name = 'killed'"
        wait_for(database, f"{sessions} and wait_event_type = 'Lock'", 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        database.execute("select pg_advisory_unlock(1)")
        wait_for(database, sessions, 0)
    assert database.execute(SCHEMAS).fetchall() == []


def judged(connection: psycopg.Connection, migrations: tuple[Migration, ...]) -> None:
    judge(connection.execute(VERSIONS_QUERY).fetchall(), migrations)


def test_a_migrated_database_is_fit(database, migrations):
    migrate(database, migrations)
    judged(database, migrations)


def test_an_empty_database_is_told_to_migrate(database, migrations):
    with pytest.raises(NotInstalled, match="pgflow migrate"):
        judged(database, migrations)


def test_an_older_schema_is_told_to_migrate(database, migrations):
    migrate(database, migrations[:1])
    with pytest.raises(TooOld, match="0002_count; run `pgflow migrate`"):
        judged(database, migrations)


def test_a_newer_schema_is_told_to_upgrade_the_package(database, migrations):
    migrate(database, migrations)
    with pytest.raises(TooNew, match="pip install -U pgflow-py"):
        judged(database, migrations[:1])


def test_a_changed_schema_is_refused(database, migrations):
    migrate(database, migrations)
    with pytest.raises(Drifted, match="0001_initial"):
        judged(database, (replace(migrations[0], checksum="another"), migrations[1]))


def test_asking_for_versions_does_not_break_the_transaction(empty_database_url):
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute(VERSIONS_QUERY).fetchall() == [(None, None, None)]
        assert connection.execute("select 1").fetchone() == (1,)


def test_the_packaged_migrations_install_the_schema_and_revoke_it_from_the_public(database, empty_database_url):
    assert migrate(database).applied == load_migrations()
    judge(database.execute(VERSIONS_QUERY).fetchall())
    with as_superuser(empty_database_url) as superuser:
        owners = "select distinct nspowner::regrole::text from pg_namespace where nspname in ('pgflow', 'pgmq')"
        assert superuser.execute(owners).fetchall() == [("app",)]
        usage = "select has_schema_privilege('public', 'pgflow', 'usage')"
        assert superuser.execute(usage).fetchone() == (False,)
