"""The same schema by other means: printed SQL run by psql, and the sources as they are."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pgmq.install import get_embedded_install_sql

import pgflow.errors
from pgflow.schema import VERSIONS_QUERY, judge, migrate, render

SCHEMA = Path(pgflow.errors.__file__).parent / "sql" / "schema.sql"


@pytest.fixture
def url_with_pgmq(server) -> Iterator[str]:
    name = server.create_database()
    with psycopg.connect(server.url(name)) as connection:
        connection.execute(get_embedded_install_sql().encode())
    yield server.url(name)
    server.drop_database(name)


def psql(server, url: str, *arguments: str, text: str | None = None) -> None:
    command = [str(server.binaries / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, *arguments]
    ended = subprocess.run(command, input=text, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def dump(server, url: str, *options: str) -> list[str]:
    """Return what pg_dump says of the schema, without the random key it writes for psql."""
    command = [str(server.binaries / "pg_dump"), "--schema-only", "--schema=pgflow", *options, "-d", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


def test_the_printed_sql_leaves_what_migrating_leaves(server, url_with_pgmq, empty_database_url):
    psql(server, url_with_pgmq, "--single-transaction", text=render())
    with psycopg.connect(empty_database_url) as migrated, psycopg.connect(url_with_pgmq) as printed:
        migrate(migrated)
        applied = migrated.execute(VERSIONS_QUERY).fetchall()
        assert printed.execute(VERSIONS_QUERY).fetchall() == applied
        judge(applied)
        assert migrate(printed).applied == ()
    assert dump(server, url_with_pgmq) == dump(server, empty_database_url)


def test_the_printed_sql_without_a_transaction_works_as_well(server, url_with_pgmq):
    psql(server, url_with_pgmq, text=render())
    with psycopg.connect(url_with_pgmq) as connection:
        judge(connection.execute(VERSIONS_QUERY).fetchall())


def test_the_printed_sql_of_several_migrations_records_each(server, url_with_pgmq, migrations):
    psql(server, url_with_pgmq, text=render(migrations))
    with psycopg.connect(url_with_pgmq) as connection:
        judge(connection.execute(VERSIONS_QUERY).fetchall(), migrations)


def test_the_sources_run_as_they_are_and_equal_all_migrations(server, url_with_pgmq, empty_database_url):
    psql(server, url_with_pgmq, "-f", str(SCHEMA))
    with psycopg.connect(empty_database_url) as connection:
        migrate(connection)
    without_bookkeeping = "--exclude-table=pgflow.migrations"
    assert dump(server, url_with_pgmq) == dump(server, empty_database_url, without_bookkeeping)
