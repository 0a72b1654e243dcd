"""`list_workers`: who works, by the state that its row and its last heartbeat say."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import OTHER_WORKER, WORKER, Connection, register, rows

THIRD = UUID("00000000-0000-0000-0000-00000000a003")


def listed(connection: Connection, *arguments: object) -> dict[UUID, str]:
    places = ", ".join(["%s"] * len(arguments))
    return {
        found["worker_id"]: found["status"]
        for found in rows(connection, f"select * from pgflow.list_workers({places})", *arguments)
    }


def test_a_worker_that_was_heard_of_is_alive(connection: Connection) -> None:
    register(connection)
    assert listed(connection) == {WORKER: "alive"}


@pytest.mark.parametrize(("seconds", "status"), [(20, "alive"), (40, "stale")])
def test_a_worker_that_is_silent_for_half_a_minute_is_stale(connection: Connection, seconds: int, status: str) -> None:
    register(connection)
    connection.execute(
        "update pgflow.workers set last_heartbeat_at = clock_timestamp() - make_interval(secs => %s)", (seconds,)
    )
    assert listed(connection) == {WORKER: status}


def test_a_worker_that_is_asked_to_leave_is_deprecated(connection: Connection) -> None:
    register(connection)
    connection.execute("update pgflow.workers set deprecated_at = clock_timestamp()")
    assert listed(connection) == {WORKER: "deprecated"}


def test_workers_that_have_stopped_are_listed_last_if_asked_for(connection: Connection) -> None:
    register(connection)
    register(connection, OTHER_WORKER)
    connection.execute("select pgflow.mark_worker_stopped(%s)", (WORKER,))
    assert listed(connection) == {OTHER_WORKER: "alive"}
    assert list(listed(connection, None, True).items()) == [(OTHER_WORKER, "alive"), (WORKER, "stopped")]


def test_workers_are_listed_by_queue_and_by_their_last_heartbeat(connection: Connection) -> None:
    for worker, flow in ((WORKER, "flow"), (OTHER_WORKER, "other"), (THIRD, "flow")):
        register(connection, worker, flow)
        connection.execute(
            "update pgflow.workers set last_heartbeat_at = clock_timestamp() where worker_id = %s", (worker,)
        )
    assert list(listed(connection)) == [THIRD, OTHER_WORKER, WORKER]
    assert list(listed(connection, ["flow"])) == [THIRD, WORKER]
    assert list(listed(connection, ["flow", "other"], False, 2)) == [THIRD, OTHER_WORKER]
    assert listed(connection, []) == {}
