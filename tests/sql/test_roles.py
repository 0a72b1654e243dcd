"""Which functions are for starters and workers, and how they are granted and revoked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from servers import Server
from sql.engine import Connection, refused, rows, value
from sql.rights import FUNCTIONS, ROLES, functions

# Public functions that are for the owner on purpose. A new one belongs here or into pgflow._functions_of_role.
FOR_THE_OWNER = {
    # definitions
    "create_flow",
    "add_step",
    "ensure_flow_compiled",
    "upsert_flow",
    "set_flow_type",
    "delete_flow_and_data",
    "is_valid_slug",
    "is_local",
    # the contract says that these run with the rights of the caller; workers have batch calls instead
    "start_flow",
    "start_tasks",
    "complete_task",
    "fail_task",
    "mark_worker_stopped",
    "track_worker_function",
    "poll_for_tasks",
    "set_vt_batch",
    "calculate_retry_delay",
    # looking at runs without knowing their ids
    "list_runs",
    "count_runs",
    "list_workers",
    "count_data_older_than",
    "list_tasks",
    # repairs and maintenance
    "delay_run",
    "start_ready_steps",
    "cascade_complete_taskless_steps",
    "cascade_resolve_conditions",
    "maybe_complete_run",
    "prune_data_older_than",
    # rights
    "grant_starter",
    "grant_worker",
    "revoke_grants",
    # the platform's
    "ensure_workers",
    "setup_ensure_workers_cron",
    "setup_requeue_stalled_tasks_cron",
    "cleanup_ensure_workers_logs",
}


# Who may call what


def test_every_public_function_is_for_the_owner_or_granted_to_a_role_on_purpose(connection: Connection) -> None:
    public = {found["name"] for found in rows(connection, FUNCTIONS) if not found["name"].startswith("_")}
    granted = {found["name"] for kind in ROLES for found in functions(connection, kind)}
    assert public - granted == FOR_THE_OWNER & public
    assert granted & FOR_THE_OWNER == set()


def test_every_function_that_is_listed_for_a_role_exists(connection: Connection) -> None:
    source = value(connection, "select prosrc from pg_proc where proname = '_functions_of_role'")
    listed = set(re.findall(r"'([a-z_]+)'", source)) - {"pgflow", *ROLES}
    assert listed == {found["name"] for kind in ROLES for found in functions(connection, kind)}


@pytest.mark.parametrize("kind", ROLES)
def test_what_is_granted_runs_with_the_rights_of_the_owner(connection: Connection, kind: str) -> None:
    assert [found["signature"] for found in functions(connection, kind) if not found["is_security_definer"]] == []


def test_what_runs_with_the_rights_of_the_owner_for_others_is_granted_to_somebody(connection: Connection) -> None:
    definers = {found["name"] for found in rows(connection, FUNCTIONS) if found["is_security_definer"]}
    assert definers - {found["name"] for kind in ROLES for found in functions(connection, kind)} <= FOR_THE_OWNER


def test_a_worker_may_do_what_a_starter_may_but_has_no_say_in_what_becomes_of_runs(connection: Connection) -> None:
    starter, worker = ({found["name"] for found in functions(connection, kind)} for kind in ROLES)
    assert starter - worker == {"cancel_runs", "retry_runs"}


def test_nothing_may_be_called_by_everybody(connection: Connection) -> None:
    everybody = f"select signature from ({FUNCTIONS}) as f where has_function_privilege('public', signature, 'execute')"
    assert rows(connection, everybody) == []


# Granting and revoking

EXECUTABLE = f"select signature from ({FUNCTIONS}) as f where has_function_privilege(%s, signature, 'execute')"
ODD_NAME = 'odd "role'


@pytest.fixture
def odd_role(server: Server, connection: Connection) -> Iterator[str]:
    """The name of a role that needs quotes, without rights."""
    with server.superuser() as superuser:
        superuser.execute('create role "odd ""role"')
    yield ODD_NAME
    connection.rollback()
    with server.superuser() as superuser:
        superuser.execute('drop role "odd ""role"')


def test_rights_can_be_granted_twice_and_extended_and_taken_back(connection: Connection, odd_role: str) -> None:
    for kind in ("starter", "starter", "worker", "worker", "starter"):
        connection.execute(f"select pgflow.grant_{kind}(%s)", [odd_role])
    granted = {found["signature"] for kind in ROLES for found in functions(connection, kind)}
    assert {found["signature"] for found in rows(connection, EXECUTABLE, odd_role)} == granted
    connection.execute("select pgflow.revoke_grants(%s)", [odd_role])
    assert rows(connection, EXECUTABLE, odd_role) == []
    assert not value(connection, "select has_schema_privilege(%s, 'pgflow', 'usage')", odd_role)
    assert not value(connection, "select has_table_privilege(%s, 'pgflow.migrations', 'select')", odd_role)


@pytest.mark.parametrize("name", ["nobody", "public", "PUBLIC", "current_user", "", "app; drop table pgflow.runs"])
@pytest.mark.parametrize("function", ["grant_starter", "grant_worker", "revoke_grants"])
def test_rights_are_for_roles_that_exist(connection: Connection, function: str, name: str) -> None:
    with refused(connection, "42704", f'role "{name}" does not exist'):
        connection.execute(f"select pgflow.{function}(%s)", [name])
