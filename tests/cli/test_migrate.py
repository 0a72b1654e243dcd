"""`pgflow migrate`."""

from __future__ import annotations

import subprocess

import psycopg
import pytest


def test_a_database_is_migrated_once(pgflow, empty_database_url):
    first = pgflow("migrate", "--url", empty_database_url)
    second = pgflow("migrate", "--url", empty_database_url)
    assert (first.code, second.code) == (0, 0)
    assert ": applied 0001" in first.output
    assert second.output.endswith(": nothing to do\n")
    assert second.output.startswith("database test_")


def test_the_database_of_the_environment_is_migrated(pgflow, url):
    assert pgflow("migrate").output.endswith("as user app: nothing to do\n")


@pytest.mark.feature("A4.15")
def test_the_printed_sql_migrates_a_database_that_has_pgmq(pgflow, newest_server):
    name = newest_server.create_database()
    target = newest_server.url(name)
    with psycopg.connect(target) as connection:
        from pgmq.install import get_embedded_install_sql

        connection.execute(get_embedded_install_sql().encode())
    text = pgflow("migrate", "--print").output
    psql = [newest_server.binaries / "psql", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1", target]
    subprocess.run(psql, input=text, text=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert pgflow("migrate", "--url", target).output.endswith("nothing to do\n")
    newest_server.drop_database(name)


def test_printing_needs_no_database(pgflow, monkeypatch):
    monkeypatch.setenv("PGFLOW_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    ended = pgflow("migrate", "--print")
    assert (ended.code, ended.errors) == (0, "")
    assert "create schema pgflow;" in ended.output


def test_a_schema_of_other_origin_is_left_alone(pgflow, newest_server):
    name = newest_server.create_database()
    target = newest_server.url(name)
    with psycopg.connect(target) as connection:
        connection.execute("create schema pgflow")
    ended = pgflow("migrate", "--url", target)
    assert ended.code == 3
    assert "made by other means than `pgflow migrate`" in ended.errors
    newest_server.drop_database(name)


def test_a_role_without_privileges_is_told(pgflow, newest_server):
    with newest_server.superuser() as connection:
        connection.execute("create role stranger login")
    ended = pgflow("migrate", "--url", newest_server.url("postgres", "stranger"))
    with newest_server.superuser() as connection:
        connection.execute("drop role stranger")
    assert ended.code == 3
    assert "migrate as the owner of the database" in ended.errors
