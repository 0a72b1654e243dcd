"""What the database raises, on real servers, and what this package makes of it."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as sqlstate

from client.flows import greeting
from pgflow import ConnectionLost, InvalidInput, NotGranted, NotInstalled, PgFlowError, SchemaError, sync
from pgflow.errors import translate


def execute_all(connection: psycopg.Connection, statements: str) -> None:
    for statement in statements.split("; "):
        connection.execute(statement)


def provoked(url: str, statements: str) -> Exception:
    with pytest.raises(psycopg.Error) as raised, psycopg.connect(url, autocommit=True) as connection:
        execute_all(connection, statements)
    return translate(raised.value)


@pytest.fixture(scope="session")
def private_url(server, template):
    """A migrated database of this module's own."""
    name = server.create_database(template)
    yield server.url(name)
    server.drop_database(name)


@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [
        (r"""select '"\u0000"'::jsonb""", InvalidInput, "PostgreSQL refused the value: unsupported Unicode"),
        ("select '{'::jsonb", InvalidInput, "PostgreSQL refused the value: invalid input syntax for type json"),
        ("select 'x'::uuid", InvalidInput, "invalid input syntax for type uuid"),
        ("select array_fill(0, array[2147483647])", InvalidInput, "array size exceeds the maximum"),
        (r"select convert_from('\xff', 'UTF8')", InvalidInput, "invalid byte sequence"),
        ("select * from missing.thing", NotInstalled, "`pgflow migrate`"),
        ("select * from pgflow.thing", NotInstalled, "`pgflow migrate`"),
        ("select pgflow.thing()", NotInstalled, "`pgflow migrate`"),
        ("select thing from pgflow.runs", NotInstalled, "`pgflow migrate`"),
        ("select * from pg_authid", NotGranted, "connect as the owner"),
        ("set default_transaction_read_only = on; create table t ()", SchemaError, "connect to the primary"),
        ("select pg_terminate_backend(pg_backend_pid())", ConnectionLost, "terminating connection"),
    ],
)
def test_an_error_that_users_can_act_on_is_one_of_this_package(private_url, statement, kind, message):
    error = provoked(private_url, statement)
    assert type(error) is kind
    assert message in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("select 1/0", sqlstate.DivisionByZero),
        ("set statement_timeout = '1ms'; select pg_sleep(9)", sqlstate.QueryCanceled),
        ("selec 1", sqlstate.SyntaxError),
        ("do $$begin raise exception 'has root map';end$$", sqlstate.RaiseException),
    ],
)
def test_what_is_no_users_fault_keeps_its_type(private_url, statement, kind):
    with pytest.raises(kind) as raised, psycopg.connect(private_url, autocommit=True) as connection:
        execute_all(connection, statement)
    assert translate(raised.value) is raised.value


def test_a_violation_of_another_constraint_keeps_its_type(private_url):
    error = provoked(private_url, "insert into pgflow.steps (flow_slug, step_slug, step_index) values ('no', 'no', 0)")
    assert isinstance(error, sqlstate.ForeignKeyViolation)


def test_a_client_goes_on_after_its_connections_were_terminated(private_url):
    with sync.PgFlow(private_url, pool_size=1) as client:
        client.ensure_compiled(greeting)
        with psycopg.connect(private_url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        with pytest.raises(ConnectionLost):
            client.ensure_compiled(greeting)
        assert client.ensure_compiled(greeting) == "verified"


def test_the_original_error_is_the_cause(private_url):
    with sync.PgFlow(private_url) as client, pytest.raises(PgFlowError) as raised:
        client.start_flow("unknown", {})
    assert isinstance(raised.value.__cause__, sqlstate.ForeignKeyViolation)
