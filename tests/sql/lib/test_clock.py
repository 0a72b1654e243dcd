"""One clock for all state: transaction time, or the time that a test has set."""

from __future__ import annotations

from datetime import datetime

from sql.engine import Connection, define, finish, live, run, set_clock, start, state, task, value

NEW_YEAR = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
LATER = datetime.fromisoformat("2030-01-01T00:00:07+00:00")


def test_it_is_transaction_time(connection: Connection) -> None:
    assert value(connection, "select pgflow._now() = now()") is True


def test_it_can_be_set_for_a_transaction(connection: Connection) -> None:
    set_clock(connection, NEW_YEAR.isoformat())
    assert value(connection, "select pgflow._now()") == NEW_YEAR


def test_an_empty_setting_is_transaction_time(connection: Connection) -> None:
    set_clock(connection, "")
    assert value(connection, "select pgflow._now() = now()") is True


def test_a_run_and_its_steps_and_tasks_begin_at_that_time(connection: Connection) -> None:
    set_clock(connection, NEW_YEAR.isoformat())
    define(connection, "a")
    run_id = start(connection)
    state_of_a, task_of_a = state(connection, run_id, "a"), task(connection, run_id, "a")
    assert run(connection, run_id)["started_at"] == NEW_YEAR
    assert (state_of_a["created_at"], state_of_a["started_at"], task_of_a["queued_at"]) == (NEW_YEAR,) * 3


def test_they_end_at_that_time(connection: Connection) -> None:
    set_clock(connection, NEW_YEAR.isoformat())
    define(connection, "a")
    run_id = start(connection)
    set_clock(connection, LATER.isoformat())
    finish(connection, run_id, "a")
    ended = (run(connection, run_id), state(connection, run_id, "a"), task(connection, run_id, "a"))
    assert [row["completed_at"] for row in ended] == [LATER] * 3


def test_a_transaction_that_began_before_its_task_was_queued_can_work_it(connection: Connection) -> None:
    define(connection, "a")
    set_clock(connection, LATER.isoformat())
    run_id = start(connection)
    set_clock(connection, NEW_YEAR.isoformat())
    finish(connection, run_id, "a")
    assert run(connection, run_id)["completed_at"] == LATER


def test_visibility_follows_the_wall_clock_instead(connection: Connection) -> None:
    set_clock(connection, NEW_YEAR.isoformat())
    define(connection, "a")
    start(connection)
    [message] = live(connection)
    assert -60 < message["seconds"] <= 0
