"""What the tables of workers and worker functions accept."""

from __future__ import annotations

import pytest

from sql.engine import WORKER, Connection, refused, register, row


def test_a_worker_has_just_started_and_beaten(connection: Connection) -> None:
    query = """
        insert into pgflow.workers (worker_id, queue_name, function_name) values (%s, 'flow', 'tests')
        returning *, now() as now
    """
    inserted = row(connection, query, WORKER)
    assert (inserted["started_at"], inserted["last_heartbeat_at"]) == (inserted["now"], inserted["now"])
    assert (inserted["deprecated_at"], inserted["stopped_at"]) == (None, None)


def test_a_worker_id_is_taken_once(connection: Connection) -> None:
    register(connection)
    with refused(connection, "23505", "workers_pkey"):
        connection.execute(
            "insert into pgflow.workers (worker_id, queue_name, function_name) values (%s, 'flow', 'tests')", (WORKER,)
        )


@pytest.mark.parametrize("column", ["queue_name", "function_name"])
def test_a_worker_says_what_it_works(connection: Connection, column: str) -> None:
    register(connection)
    with refused(connection, "23502", column):
        connection.execute(f"update pgflow.workers set {column} = null")


def test_a_worker_function_is_enabled_and_was_never_invoked(connection: Connection) -> None:
    query = "insert into pgflow.worker_functions (function_name) values ('any-text') returning *, now() as now"
    inserted = row(connection, query)
    assert (inserted["enabled"], inserted["debounce"].total_seconds(), inserted["last_invoked_at"]) == (True, 6, None)
    assert inserted["created_at"] == inserted["updated_at"] == inserted["now"]


def test_a_worker_function_is_registered_once(connection: Connection) -> None:
    connection.execute("insert into pgflow.worker_functions (function_name) values ('a')")
    with refused(connection, "23505", "worker_functions_pkey"):
        connection.execute("insert into pgflow.worker_functions (function_name) values ('a')")


def test_a_debounce_below_a_second_is_refused(connection: Connection) -> None:
    with refused(connection, "23514", "worker_functions_debounce_check"):
        connection.execute("insert into pgflow.worker_functions (function_name, debounce) values ('a', '999 ms')")


def test_a_debounce_of_a_second_is_accepted(connection: Connection) -> None:
    inserted = "insert into pgflow.worker_functions (function_name, debounce) values ('a', '1 s')"
    assert connection.execute(inserted).rowcount == 1
