"""docs/roles.md: its statements run, and give the roles what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from servers import Server

DOCUMENT = (Path(__file__).parents[2] / "docs" / "roles.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sql\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
ROLES = re.findall(r"create role (\w+)", DOCUMENT)


@pytest.fixture
def connection(newest_server: Server, newest_database_url: str) -> Iterator[psycopg.Connection]:
    """A connection of a superuser to a database with the flow of the document."""
    name = str(conninfo_to_dict(newest_database_url)["dbname"])
    with newest_server.superuser(name) as connection:
        connection.execute("set role app")
        connection.execute("select pgflow.create_flow('greet'), pgflow.add_step('greet', 'greet')")
        connection.execute("reset role")
        yield connection
        connection.execute("reset role")
        for role in ROLES:
            connection.execute(f"drop owned by {role} cascade")
            connection.execute(f"drop role {role}")


def test_the_statements_run_as_they_stand_there(connection: psycopg.Connection) -> None:
    for block in BLOCKS:
        for statement in filter(str.strip, block.split(";\n")):
            connection.execute(statement)
    assert ROLES == ["app_worker", "app_web"]
    for role in ROLES:
        granted = connection.execute("select has_function_privilege(%s, 'pgflow.get_run(uuid)', 'execute')", [role])
        assert granted.fetchone() == (True,)
    assert connection.execute("select count(*) from pgflow.runs").fetchone() == (1,)
