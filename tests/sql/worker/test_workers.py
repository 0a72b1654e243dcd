"""`register_worker`, `send_heartbeats` and `mark_worker_stopped`: the life of a worker's row."""

from __future__ import annotations

from uuid import UUID, uuid4

from sql.engine import Connection, Row, row, rows, value

LONG_AGO = "2020-01-01 00:00:00+00"


def register(connection: Connection, worker_id: UUID | None = None) -> UUID:
    worker_id = worker_id or uuid4()
    connection.execute("select pgflow.register_worker(%s, 'greet', 'host:1')", [worker_id])
    return worker_id


def row_of(connection: Connection, worker_id: UUID) -> Row:
    return row(connection, "select * from pgflow.workers where worker_id = %s", worker_id)


def deprecated_among(connection: Connection, *worker_ids: UUID) -> list[UUID]:
    return list(value(connection, "select pgflow.send_heartbeats(%s)", list(worker_ids)))


def stop(connection: Connection, worker_id: UUID) -> None:
    connection.execute("select pgflow.mark_worker_stopped(worker_id => %s)", [worker_id])


def test_a_registered_worker_has_its_queue_and_its_name(connection: Connection) -> None:
    found = row_of(connection, register(connection))
    assert (found["queue_name"], found["function_name"]) == ("greet", "host:1")


def test_a_registered_worker_is_neither_deprecated_nor_stopped(connection: Connection) -> None:
    found = row_of(connection, register(connection))
    assert (found["deprecated_at"], found["stopped_at"]) == (None, None)


def test_registering_again_is_a_heartbeat(connection: Connection) -> None:
    worker_id = register(connection)
    connection.execute("update pgflow.workers set last_heartbeat_at = %s", [LONG_AGO])
    register(connection, worker_id)
    assert row_of(connection, worker_id)["last_heartbeat_at"].year > 2020


def test_registering_again_does_not_undo_a_deprecation(connection: Connection) -> None:
    worker_id = register(connection)
    connection.execute("update pgflow.workers set deprecated_at = now()")
    register(connection, worker_id)
    assert deprecated_among(connection, worker_id) == [worker_id]


def test_a_heartbeat_moves_last_heartbeat_at_by_the_wall_clock(connection: Connection) -> None:
    worker_id = register(connection)
    registered_at = row_of(connection, worker_id)["last_heartbeat_at"]
    deprecated_among(connection, worker_id)
    assert row_of(connection, worker_id)["last_heartbeat_at"] > registered_at


def test_a_heartbeat_names_the_workers_that_are_asked_to_leave(connection: Connection) -> None:
    staying, leaving = register(connection), register(connection)
    connection.execute("update pgflow.workers set deprecated_at = now() where worker_id = %s", [leaving])
    assert deprecated_among(connection, staying, leaving) == [leaving]


def test_a_heartbeat_names_nobody_when_all_may_stay(connection: Connection) -> None:
    assert deprecated_among(connection, register(connection)) == []


def test_a_heartbeat_of_nobody_is_no_error(connection: Connection) -> None:
    assert deprecated_among(connection) == []


def test_a_heartbeat_leaves_other_workers_alone(connection: Connection) -> None:
    beating, other = register(connection), register(connection)
    before = row_of(connection, other)
    deprecated_among(connection, beating)
    assert row_of(connection, other) == before


def test_a_stopped_worker_has_the_wall_time_of_its_end(connection: Connection) -> None:
    worker_id = register(connection)
    stop(connection, worker_id)
    found = row_of(connection, worker_id)
    assert found["stopped_at"] > found["started_at"]


def test_stopping_leaves_other_workers_alone(connection: Connection) -> None:
    stopping, other = register(connection), register(connection)
    stop(connection, stopping)
    assert row_of(connection, other)["stopped_at"] is None


def test_stopping_an_unknown_worker_does_nothing(connection: Connection) -> None:
    stop(connection, uuid4())
    assert rows(connection, "select * from pgflow.workers") == []
