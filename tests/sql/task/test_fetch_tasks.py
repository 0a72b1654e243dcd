"""Reading messages and starting their tasks in one call."""

from __future__ import annotations

import pytest

from sql.engine import (
    OTHER_WORKER,
    UNKNOWN,
    Connection,
    archived,
    define,
    fail,
    fetch,
    live,
    refused,
    snapshot,
    start,
    step,
    task,
    value,
)


def test_a_task_comes_with_its_attempt_and_its_options(connection: Connection) -> None:
    define(connection, step("a", timeout=7), max_attempts=4, timeout=30)
    run_id = start(connection, {"x": 1})
    [fetched] = fetch(connection)
    assert fetched == {
        "flow_slug": "flow",
        "run_id": run_id,
        "step_slug": "a",
        "task_index": 0,
        "input": {},
        "flow_input": {"x": 1},
        "message_id": task(connection, run_id, "a")["message_id"],
        "attempt": 1,
        "max_attempts": 4,
        "timeout": 7,
        "base_delay": 5,
        "attempts_before_retry": 0,
    }


def test_a_step_overrides_the_attempts_of_its_flow(connection: Connection) -> None:
    define(connection, step("a", max_attempts=9), "b", max_attempts=2)
    start(connection)
    assert [fetched["max_attempts"] for fetched in fetch(connection)] == [9, 2]


def test_a_later_attempt_has_a_higher_number(connection: Connection) -> None:
    define(connection, "a", base_delay=0)
    run_id = start(connection)
    fetch(connection)
    fail(connection, run_id, "a")
    assert [fetched["attempt"] for fetched in fetch(connection)] == [2]


@pytest.mark.feature("A5.18")
def test_no_more_than_the_limit_are_fetched_in_their_order(connection: Connection) -> None:
    define(connection, "m*")
    start(connection, list(range(5)))
    assert [fetched["task_index"] for fetched in fetch(connection, limit=2)] == [0, 1]
    assert [fetched["task_index"] for fetched in fetch(connection, limit=9)] == [2, 3, 4]


def test_an_empty_queue_gives_nothing(connection: Connection) -> None:
    define(connection, "a")
    assert fetch(connection) == []


@pytest.mark.feature("A5.18")
def test_a_task_that_is_held_back_is_not_fetched(connection: Connection) -> None:
    define(connection, step("a", start_delay=300))
    start(connection)
    assert fetch(connection) == []


@pytest.mark.feature("A5.23")
def test_a_fetched_task_stays_away_for_its_timeout_and_two_seconds(connection: Connection) -> None:
    define(connection, "a", timeout=30)
    start(connection)
    fetch(connection)
    assert 31 < live(connection)[0]["seconds"] <= 32


def test_a_visible_message_of_a_started_task_stays_away_for_seconds_only(connection: Connection) -> None:
    define(connection, "a")
    start(connection)
    fetch(connection)
    connection.execute("update pgmq.q_flow set vt = clock_timestamp()")
    assert fetch(connection) == []
    assert 0 < live(connection)[0]["seconds"] <= 5


def test_the_worker_is_recorded(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    fetch(connection, worker=OTHER_WORKER)
    assert task(connection, run_id, "a")["last_worker_id"] == OTHER_WORKER


def test_an_unknown_worker_is_refused_and_the_message_stays_visible(connection: Connection) -> None:
    define(connection, "a")
    start(connection)
    before = snapshot(connection)
    with refused(connection, "23503", "step_tasks_last_worker_id_fkey"):
        connection.execute("select * from pgflow.fetch_tasks('flow', %s, 1)", (UNKNOWN,))
    assert snapshot(connection) == before


def test_a_flow_without_a_queue_is_an_undefined_table(connection: Connection) -> None:
    define(connection, "a")
    connection.execute("select pgmq.drop_queue('flow')")
    with refused(connection, "42P01"):
        fetch(connection)


def test_an_unknown_flow_has_no_tasks(connection: Connection) -> None:
    connection.execute("select pgmq.create('letters'), pgmq.send('letters', '{}')")
    assert fetch(connection, "letters") == []
    assert fetch(connection, "unknown") == []


@pytest.mark.parametrize("flow", ["flow", "Flow"])
def test_only_tasks_of_the_flow_are_fetched(connection: Connection, flow: str) -> None:
    define(connection, "a", flow=flow)
    define(connection, "a", flow="other")
    run_id = start(connection, flow=flow)
    start(connection, flow="other")
    assert [fetched["run_id"] for fetched in fetch(connection, flow)] == [run_id]


def test_messages_of_no_task_are_archived(connection: Connection) -> None:
    define(connection, "a")
    start(connection)
    connection.execute("select pgmq.send('flow', '{}')")
    assert len(fetch(connection)) == 1
    assert len(live(connection)) == 1
    assert len(archived(connection)) == 1


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_message_of_an_ended_task_is_archived(connection: Connection, status: str) -> None:
    define(connection, "a", "b")
    run_id = start(connection)
    ended = "completed_at" if status == "completed" else "failed_at"
    connection.execute(
        f"update pgflow.step_tasks set status = '{status}', {ended} = now() + interval '1 s' where step_slug = 'a'"
    )
    assert [found["step_slug"] for found in fetch(connection)] == ["b"]
    assert [message["msg_id"] for message in archived(connection)] == [task(connection, run_id, "a")["message_id"]]
    connection.rollback()  # rows edited by hand break the invariants


def test_a_message_whose_task_somebody_works_on_stays_away_for_five_seconds(connection: Connection) -> None:
    define(connection, "a")
    start(connection)
    [message_id] = [found["message_id"] for found in fetch(connection)]
    connection.execute("select pgmq.set_vt('flow', %s, 0)", (message_id,))
    assert fetch(connection) == []
    [message] = live(connection)
    assert 4 < float(value(connection, "select extract(epoch from %s - clock_timestamp())", message["vt"])) <= 5


def test_a_thousand_messages_that_wait_for_later_are_not_in_the_way(connection: Connection) -> None:
    define(connection, "a")
    connection.execute("select pgflow.start_flows('flow', array_fill('1'::jsonb, array[1000]), null, 3600)")
    due = start(connection)
    assert [found["run_id"] for found in fetch(connection)] == [due]
