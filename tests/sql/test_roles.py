"""What ordinary roles may do, and what they can't bring functions to do that run with the rights of the owner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import Server
from sql.engine import Connection, connect, define, rows, value


@pytest.fixture(scope="module")
def shared_database(server: Server, template: str) -> Iterator[str]:
    """A migrated database of the role `app` with a flow; returns its name."""
    name = server.create_database(template)
    with connect(server.url(name), autocommit=True) as connection:
        define(connection, "a", "b < a")
    yield name
    server.drop_database(name)


@pytest.fixture
def stranger(server: Server, shared_database: str) -> Iterator[Connection]:
    """A connection of a role without any right but to call functions that run with the rights of the owner."""
    with server.superuser(shared_database) as superuser:
        superuser.execute("create role stranger login")
        superuser.execute("grant usage on schema pgflow to stranger")
        superuser.execute("grant execute on function pgflow.start_flow_with_states to stranger")
    with connect(server.url(shared_database, "stranger"), autocommit=True) as connection:
        yield connection
    with server.superuser(shared_database) as superuser:
        superuser.execute("drop owned by stranger cascade")
        superuser.execute("drop role stranger")


@pytest.mark.parametrize("shadowed", ["uuid", "text", "jsonb"])
def test_types_of_a_caller_don_t_take_the_place_of_the_system_s(stranger: Connection, shadowed: str) -> None:
    """Their checks would run with the rights of the owner."""
    stranger.execute("create temp table witnesses (name text)")
    stranger.execute("grant all on witnesses to public")
    stranger.execute(f"""
        create function pg_temp.witness(pg_catalog.{shadowed}) returns boolean language plpgsql
        as $$ begin insert into pg_temp.witnesses values (current_user); return true; end $$
    """)
    stranger.execute(f"create domain pg_temp.{shadowed} as pg_catalog.{shadowed} check (pg_temp.witness(value))")
    assert value(stranger, "select pgflow.start_flow_with_states('flow', '{}') -> 'run' ->> 'status'") == "started"
    assert rows(stranger, "select * from witnesses") == []
