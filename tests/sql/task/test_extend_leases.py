"""`extend_leases` says which tasks are still held, and keeps the messages away of those that would come back."""

from __future__ import annotations

from uuid import uuid4

import pytest

from sql.engine import (
    Connection,
    RunId,
    begin,
    complete,
    define,
    exhaust,
    fail,
    live,
    snapshot,
    start,
    step,
    value,
)
from sql.sessions import sessions


def extend(connection: Connection, *keys: tuple[RunId, str, int, int], seconds: int = 30) -> list[int]:
    columns = [list(column) for column in zip(*keys, strict=True)] or [[], [], [], []]
    query = "select pgflow.extend_leases(%s::uuid[], %s::text[], %s::int[], %s::int[], %s)"
    return list(value(connection, query, *columns, seconds))


def age(connection: Connection, seconds: int) -> None:
    """Let the tasks and their messages be so much older."""
    connection.execute(
        "update pgflow.step_tasks set started_at = started_at - make_interval(secs => %(seconds)s),"
        " queued_at = queued_at - make_interval(secs => %(seconds)s)",
        {"seconds": seconds},
    )
    connection.execute("update pgmq.q_flow set vt = vt - make_interval(secs => %s)", [seconds])


def test_running_tasks_are_held_in_the_order_of_the_question(connection: Connection) -> None:
    define(connection, "a*")
    run_id = start(connection, [1, 2, 3])
    begin(connection, run_id, "a")
    assert extend(connection, (run_id, "a", 2, 1), (run_id, "a", 0, 1)) == [1, 2]


def test_nobody_holds_what_is_unknown_or_nothing(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    unknown = uuid4()
    assert extend(connection, (run_id, "b", 0, 1), (run_id, "a", 1, 1), (unknown, "a", 0, 1)) == []
    assert extend(connection) == []


def test_a_task_that_was_started_again_is_held_by_its_new_attempt(connection: Connection) -> None:
    define(connection, "a", base_delay=0)
    run_id = start(connection)
    begin(connection, run_id, "a")
    fail(connection, run_id, "a")
    assert extend(connection, (run_id, "a", 0, 1)) == []
    begin(connection, run_id, "a")
    assert extend(connection, (run_id, "a", 0, 1), (run_id, "a", 0, 2)) == [2]


def test_a_completed_task_is_not_held(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    complete(connection, run_id, "a")
    assert extend(connection, (run_id, "a", 0, 1)) == []


def test_a_task_of_a_run_that_has_failed_is_not_held(connection: Connection) -> None:
    define(connection, "a", "b", max_attempts=1)
    run_id = start(connection)
    begin(connection, run_id, "a")
    exhaust(connection, run_id, "b")
    assert extend(connection, (run_id, "a", 0, 1)) == []


def test_a_task_of_a_step_that_was_skipped_is_not_held(connection: Connection) -> None:
    define(connection, step("a*", max_attempts=1, when_exhausted="skip"), "b")
    run_id = start(connection, [1, 2])
    begin(connection, run_id, "a")
    fail(connection, run_id, "a", index=1)
    assert extend(connection, (run_id, "a", 0, 1)) == []


def test_a_message_that_stays_away_long_enough_is_not_touched(connection: Connection) -> None:
    define(connection, "a", timeout=60)
    run_id = start(connection)
    begin(connection, run_id, "a")
    age(connection, 50)
    before = snapshot(connection)
    assert extend(connection, (run_id, "a", 0, 1)) == [1]
    assert snapshot(connection) == before


def test_a_message_that_would_come_back_soon_stays_away(connection: Connection) -> None:
    define(connection, "a", step("b", timeout=600), timeout=60)
    run_id = start(connection)
    begin(connection, run_id, "a")
    begin(connection, run_id, "b")
    age(connection, 59)
    assert extend(connection, (run_id, "a", 0, 1), (run_id, "b", 0, 1)) == [1, 2]
    assert [round(message["seconds"]) for message in live(connection)] == [30, 602 - 59]


@pytest.mark.parametrize("attempt", [0, 2])
def test_the_message_of_somebody_else_is_not_touched(connection: Connection, attempt: int) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    age(connection, 59)
    before = snapshot(connection)
    assert extend(connection, (run_id, "a", 0, attempt)) == []
    assert snapshot(connection) == before


def test_a_task_that_somebody_has_locked_is_neither_waited_for_nor_lost(database_url: str) -> None:
    with sessions(database_url) as (holder, worker):
        define(holder.connection, "a")
        run_id = start(holder.connection)
        begin(holder.connection, run_id, "a")
        age(holder.connection, 59)
        holder.connection.commit()
        complete(holder.connection, run_id, "a")
        assert worker.in_background(extend, (run_id, "a", 0, 1)).result(timeout=20) == [1]
        worker.connection.commit()
        holder.connection.commit()
        assert extend(worker.connection, (run_id, "a", 0, 1)) == []
