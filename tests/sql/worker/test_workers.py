"""`register_worker`, `keep_alive`, `mark_worker_stopped` and `stop_workers`: the life of a worker's row."""

from __future__ import annotations

from uuid import UUID, uuid4

from sql.engine import Connection, Row, begin, define, row, rows, set_clock, start, value

LONG_AGO = "2020-01-01 00:00:00+00"


def register(connection: Connection, worker_id: UUID | None = None) -> UUID:
    worker_id = worker_id or uuid4()
    connection.execute("select pgflow.register_worker(%s, 'greet', 'host:1')", [worker_id])
    return worker_id


def row_of(connection: Connection, worker_id: UUID) -> Row:
    return row(connection, "select * from pgflow.workers where worker_id = %s", worker_id)


def beat(connection: Connection, *worker_ids: UUID, leaving: bool = False, recover: bool = False) -> Row:
    queue_names = [f"queue_{number}" for number in range(len(worker_ids))]
    return row(
        connection,
        "select * from pgflow.keep_alive(%s, %s::text[], 'host:1', %s, %s)",
        list(worker_ids),
        queue_names,
        leaving,
        recover,
    )


def deprecated_among(connection: Connection, *worker_ids: UUID) -> list[UUID]:
    return list(beat(connection, *worker_ids)["deprecated_ids"])


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


def test_a_heartbeat_registers_the_workers_that_nobody_knows(connection: Connection) -> None:
    known, pruned = register(connection), uuid4()
    assert deprecated_among(connection, known, pruned) == []
    found = row_of(connection, pruned)
    assert (found["queue_name"], found["function_name"], found["stopped_at"]) == ("queue_1", "host:1", None)
    assert row_of(connection, known)["queue_name"] == "greet"


def test_a_worker_that_leaves_is_deprecated_from_then_on(connection: Connection) -> None:
    worker_id = register(connection)
    beat(connection, worker_id, leaving=True)
    since = row_of(connection, worker_id)["deprecated_at"]
    assert since is not None
    beat(connection, worker_id, leaving=True)
    assert deprecated_among(connection, worker_id) == [worker_id]
    assert row_of(connection, worker_id)["deprecated_at"] == since


def test_a_heartbeat_recovers_only_when_it_is_told_to(connection: Connection) -> None:
    define(connection, "a")
    begin(connection, start(connection), "a")
    set_clock(connection, value(connection, "select (now() + interval '5 minutes')::text"))
    assert beat(connection, uuid4())["requeued_count"] == 0
    found = beat(connection, uuid4(), recover=True)
    assert (found["requeued_count"], found["failed_count"], found["recovery_error"]) == (1, 0, None)


def test_a_heartbeat_counts_although_recovery_fails(connection: Connection) -> None:
    worker_id = register(connection)
    connection.execute(
        "create or replace function pgflow.fail_stalled_tasks() returns int language plpgsql as"
        " $$ begin raise exception 'broken'; end $$"
    )
    connection.execute("update pgflow.workers set last_heartbeat_at = %s", [LONG_AGO])
    assert beat(connection, worker_id, recover=True)["recovery_error"] == "broken"
    assert row_of(connection, worker_id)["last_heartbeat_at"].year > 2020


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


def test_all_workers_of_a_process_stop_together(connection: Connection) -> None:
    one, two, other = (register(connection) for _ in range(3))
    connection.execute("select pgflow.stop_workers(%s)", [[one, two, uuid4()]])
    assert [row_of(connection, worker)["stopped_at"] is None for worker in (one, two, other)] == [False, False, True]


def test_stopping_an_unknown_worker_does_nothing(connection: Connection) -> None:
    stop(connection, uuid4())
    assert rows(connection, "select * from pgflow.workers") == []
