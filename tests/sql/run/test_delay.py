"""Runs that exist at once and whose tasks come later: `start_flows` with a delay, and `delay_run`."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    UNKNOWN,
    Connection,
    RunId,
    as_json,
    begin,
    connect,
    define,
    fetch,
    finish,
    live,
    refused,
    rows,
    run,
    start,
    statuses,
    step,
    tasks,
    value,
)
from sql.sessions import sessions, wait_until_blocked


def start_delayed(connection: Connection, delay: int | None, *inputs: object) -> list[UUID]:
    query = "select run_id from pgflow.start_flows('flow', %s::jsonb[], p_delay => %s)"
    found = rows(connection, query, [as_json(run_input) for run_input in inputs or ({},)], delay)
    return [started["run_id"] for started in found]


def delay_run(connection: Connection, run_id: RunId, seconds: int, flow: str = "flow") -> int:
    count = value(connection, "select pgflow.delay_run(%s, %s, %s)", flow, run_id, seconds)
    assert isinstance(count, int)
    return count


def visible_in(connection: Connection) -> list[object]:
    """Return in how many seconds each message becomes visible, roughly; ordered as the messages are."""
    return [pytest.approx(found["seconds"], abs=5) for found in live(connection)]


# start_flows(p_delay)


def test_the_first_tasks_become_visible_after_the_delay(connection: Connection) -> None:
    define(connection, "a", "b")
    start_delayed(connection, 60)
    assert visible_in(connection) == [60, 60]


def test_the_runs_exist_at_once(connection: Connection) -> None:
    define(connection, "a", "b < a")
    [run_id] = start_delayed(connection, 60)
    assert run(connection, run_id)["status"] == "started"
    assert statuses(connection, run_id) == {"a": "started", "b": "created"}


def test_a_worker_gets_nothing_before(connection: Connection) -> None:
    define(connection, "a")
    start_delayed(connection, 60)
    assert fetch(connection) == []


def test_the_delay_is_added_to_that_of_a_step(connection: Connection) -> None:
    define(connection, step("a", start_delay=30), "b")
    start_delayed(connection, 60)
    assert visible_in(connection) == [90, 60]


def test_all_tasks_of_a_root_map_are_delayed(connection: Connection) -> None:
    define(connection, "m*")
    start_delayed(connection, 60, [1, 2, 3])
    assert visible_in(connection) == [60, 60, 60]


def test_all_runs_are_delayed(connection: Connection) -> None:
    define(connection, "a")
    start_delayed(connection, 60, 1, 2, 3)
    assert visible_in(connection) == [60, 60, 60]


def test_a_step_behind_a_root_without_tasks_is_delayed_too(connection: Connection) -> None:
    define(connection, "m*", "a < m")
    start_delayed(connection, 60, [])
    assert visible_in(connection) == [60]


def test_steps_that_start_later_are_not_delayed(connection: Connection) -> None:
    define(connection, "a", "b < a")
    [run_id] = start_delayed(connection, 60)
    finish(connection, run_id, "a")
    assert visible_in(connection) == [0]


@pytest.mark.parametrize("delay", [0, None])
def test_no_delay_is_at_once(connection: Connection, delay: int | None) -> None:
    define(connection, "a")
    start_delayed(connection, delay)
    assert len(fetch(connection)) == 1


def test_a_negative_delay_is_refused(connection: Connection) -> None:
    define(connection, "a")
    with refused(connection, "P0001", "p_delay must not be negative, but is -1"):
        start_delayed(connection, -1)


# seconds_until


@pytest.mark.parametrize(
    ("distance", "seconds"),
    [
        ("interval '1 hour'", 3600),
        ("interval '1 hour 0.3 s'", 3601),
        ("interval '0'", 0),
        ("interval '-1 day'", 0),
        ("interval '60 years'", None),
        ("interval '200 years'", 2_147_483_647),
    ],
)
def test_a_point_in_time_makes_a_delay(connection: Connection, distance: str, seconds: int | None) -> None:
    found = value(connection, f"select pgflow.seconds_until(clock_timestamp() + {distance})")
    if seconds is None:
        assert 60 * 365 * 86400 < found < 2_147_483_647
    else:
        assert found == pytest.approx(seconds, abs=1)


def test_a_delay_is_counted_from_now_not_from_the_beginning_of_the_transaction(connection: Connection) -> None:
    at, _ = rows(connection, "select now() + interval '60 s' as at union all select null")
    rows(connection, "select pg_sleep(1.1)")
    assert value(connection, "select pgflow.seconds_until(%s)", at["at"]) <= 59


# delay_run


@pytest.mark.feature("A2.5")
def test_the_queued_tasks_of_a_run_are_put_off(connection: Connection) -> None:
    define(connection, "a", "b")
    assert delay_run(connection, start(connection), 60) == 2
    assert visible_in(connection) == [60, 60]


def test_other_runs_are_left_alone(connection: Connection) -> None:
    define(connection, "a")
    start(connection)
    delay_run(connection, start(connection), 60)
    assert visible_in(connection) == [0, 60]


def test_no_delay_makes_a_delayed_run_available(connection: Connection) -> None:
    define(connection, "a")
    [run_id] = start_delayed(connection, 3600)
    delay_run(connection, run_id, 0)
    assert [task["run_id"] for task in fetch(connection)] == [run_id]


def test_tasks_that_are_started_keep_their_visibility(connection: Connection) -> None:
    define(connection, "a", "b", timeout=100)
    run_id = start(connection)
    begin(connection, run_id, "a")
    assert delay_run(connection, run_id, 3600) == 1
    assert visible_in(connection) == [102, 3600]


def test_no_task_changes(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    before = tasks(connection, run_id)
    delay_run(connection, run_id, 60)
    assert tasks(connection, run_id) == before


def test_an_unknown_run_has_nothing_to_delay(connection: Connection) -> None:
    define(connection, "a")
    assert delay_run(connection, UNKNOWN, 60) == 0


def test_a_run_of_another_flow_is_left_alone(connection: Connection) -> None:
    define(connection, "a")
    define(connection, "a", flow="other")
    run_id = start(connection)
    assert delay_run(connection, run_id, 60, flow="other") == 0
    assert visible_in(connection) == [0]


@pytest.mark.breaks_invariants
def test_a_task_without_message_is_left_out(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id = start(connection)
    connection.execute("update pgflow.step_tasks set message_id = null where step_slug = 'a'")
    assert delay_run(connection, run_id, 60) == 1


def test_who_reports_a_task_never_waits_for_a_delay_that_waits_for_the_run(database_url: str) -> None:
    with connect(database_url) as connection:
        define(connection, "a", "b")
        run_id = start(connection)
    with sessions(database_url, 3) as (reporting, delaying, observing):
        value(reporting.connection, "select going_on from pgflow._lock_runs(array[%s::uuid])", run_id)
        delayed = delaying.in_background(delay_run, run_id, 60)
        wait_until_blocked(observing.connection, delaying, reporting, delayed)
        locked = rows(reporting.connection, "select from pgflow.step_tasks for update nowait")
        assert len(locked) == 2
        reporting.connection.commit()
        assert delayed.result() == 2
        delaying.connection.commit()
