"""What the databases of tests promise to the tests."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from servers import REQUIRED, installed_servers

FLOWS = "select flow_slug from pgflow.flows"


@pytest.mark.parametrize("attempt", [1, 2])
def test_what_a_test_writes_through_the_connection_is_gone_in_the_next(connection, attempt):
    assert connection.execute(FLOWS).fetchall() == []
    connection.execute("select pgflow.create_flow('greetings')")
    assert connection.execute(FLOWS).fetchall() == [{"flow_slug": "greetings"}]


@pytest.mark.parametrize("attempt", [1, 2])
def test_settings_of_the_connection_do_not_reach_the_next_test(connection, attempt):
    assert connection.execute("show statement_timeout").fetchone() == {"statement_timeout": "0"}
    connection.execute("set statement_timeout = 12345")
    connection.commit()


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_connection_that_a_test_breaks_is_opened_again(connection, attempt):
    assert connection.execute("select 1 as one").fetchone() == {"one": 1}
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select pg_terminate_backend(pg_backend_pid())")


def test_the_connection_belongs_to_an_ordinary_role(connection):
    with pytest.raises(InsufficientPrivilege):
        connection.execute("create role another")


def test_a_private_database_is_migrated_and_empty(database_url):
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        assert first.execute(FLOWS).fetchall() == second.execute(FLOWS).fetchall() == []


def test_a_private_database_of_the_newest_server_is_migrated(newest_database_url):
    with psycopg.connect(newest_database_url) as connection:
        assert connection.execute(FLOWS).fetchall() == []


def test_a_private_database_is_dropped_although_somebody_is_connected(server):
    name = server.create_database()
    with psycopg.connect(server.url(name)):
        server.drop_database(name)
    with server.superuser() as superuser:
        assert superuser.execute("select 1 from pg_database where datname = %s", [name]).fetchone() is None


def test_the_superuser_is_one(superuser_url):
    with psycopg.connect(superuser_url) as connection:
        assert connection.execute("show is_superuser").fetchone() == ("on",)


def test_a_required_version_that_is_missing_is_an_error(monkeypatch):
    monkeypatch.setenv(REQUIRED, "18 99")
    with pytest.raises(RuntimeError, match="99"):
        installed_servers()
