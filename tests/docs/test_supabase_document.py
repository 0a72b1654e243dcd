"""docs/supabase.md: its SQL runs where the roles of Supabase are, and gives them what it says and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from servers import Server

DOCUMENT = (Path(__file__).parents[2] / "docs" / "supabase.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sql\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
ROLES = ("anon", "authenticated", "service_role")


@pytest.fixture
def connection(newest_server: Server, newest_database_url: str) -> Iterator[psycopg.Connection]:
    """A connection of a superuser to a database with Supabase's roles and the flow of the document."""
    name = str(conninfo_to_dict(newest_database_url)["dbname"])
    with newest_server.superuser(name) as connection:
        for role in ROLES:
            connection.execute(f"create role {role}")
        connection.execute("grant create on schema public to app")
        connection.execute("set role app")
        connection.execute("select pgflow.create_flow('greet'), pgflow.add_step('greet', 'greet')")
        yield connection
        connection.execute("reset role")
        for role in ROLES:
            connection.execute(f"drop owned by {role} cascade")
            connection.execute(f"drop role {role}")


def test_visitors_and_servers_get_nothing_by_themselves(connection: psycopg.Connection) -> None:
    for role in ROLES:
        assert callable_by(connection, role) == set()
        assert readable_by(connection, role) == set()


def test_the_statements_give_each_role_what_is_said(connection: psycopg.Connection) -> None:
    for block in BLOCKS:
        connection.execute(block)
    assert callable_by(connection, "anon") == set()
    assert callable_by(connection, "authenticated") == set()
    assert {"start_flows", "get_run_with_states"} <= callable_by(connection, "service_role")
    assert not {"exchange_tasks", "create_flow", "delete_flow_and_data"} & callable_by(connection, "service_role")
    assert readable_by(connection, "anon") | readable_by(connection, "authenticated") == set()


def test_a_visitor_who_has_signed_in_starts_what_he_may_and_nothing_else(connection: psycopg.Connection) -> None:
    for block in BLOCKS:
        connection.execute(block)
    as_role(connection, "authenticated")
    connection.execute("select public.greet('Ada')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select pgflow.start_flows('greet', array['{}'::jsonb])")
    as_role(connection, "anon")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select public.greet('Ada')")
    as_role(connection, "app")
    assert connection.execute("select input from pgflow.runs").fetchall() == [({"name": "Ada"},)]


def test_a_server_starts_runs_and_looks_at_them(connection: psycopg.Connection) -> None:
    connection.execute(BLOCKS[0])
    as_role(connection, "service_role")
    row = connection.execute("select run_id from pgflow.start_flows('greet', array['{}'::jsonb])").fetchone()
    assert row is not None
    assert connection.execute("select status from pgflow.get_run(%s)", row).fetchone() == ("started",)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select from pgflow.runs")


def as_role(connection: psycopg.Connection, role: str) -> None:
    connection.execute("reset role")
    connection.execute(f"set role {role}")


def callable_by(connection: psycopg.Connection, role: str) -> set[str]:
    """Return the functions of the schema that a role may call."""
    statement = """
        select proname from pg_proc
        where pronamespace = 'pgflow'::regnamespace and has_function_privilege(%s, oid, 'execute')
          and has_schema_privilege(%s, 'pgflow', 'usage')
    """
    return {name for (name,) in connection.execute(statement, [role, role])}


def readable_by(connection: psycopg.Connection, role: str) -> set[str]:
    """Return the tables of the schema and of pgmq on which a role has any right."""
    statement = """
        select relname from pg_class
        where relnamespace in ('pgflow'::regnamespace, 'pgmq'::regnamespace) and relkind in ('r', 'v')
          and has_table_privilege(%s, oid, 'select, insert, update, delete')
    """
    return {name for (name,) in connection.execute(statement, [role])}
