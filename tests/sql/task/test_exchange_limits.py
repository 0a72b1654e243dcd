"""`exchange_tasks` with numbers and arrays at their ends: longest timeouts and delays, no limit, unknown workers."""

from __future__ import annotations

from typing import Any

import pytest

from sql.engine import (
    UNKNOWN,
    WORKER,
    Connection,
    Row,
    as_json,
    begin,
    define,
    exchange,
    fail,
    fetch,
    live,
    refused,
    register,
    row,
    rows,
    start,
    step,
    task,
    tasks,
    value,
)

LARGEST = 2**31 - 1


def names(exchanged: Row) -> list[tuple[str, int]]:
    return [(found["step_slug"], found["task_index"]) for found in exchanged["tasks"] or []]


def test_the_longest_timeout_is_no_obstacle(connection: Connection) -> None:
    define(connection, "a", "b < a", timeout=LARGEST)
    run_id = start(connection)
    assert names(exchange(connection)) == [("a", 0)]
    assert names(exchange(connection, [(run_id, "a", 0, 1, 1)])) == [("b", 0)]
    [message] = live(connection)
    assert message["seconds"] > LARGEST - 60


def test_the_longest_timeout_is_no_obstacle_to_the_calls_of_the_contract(connection: Connection) -> None:
    define(connection, "a", timeout=LARGEST)
    run_id = start(connection)
    assert len(begin(connection, run_id, "a")) == 1
    assert fail(connection, run_id, "a")["status"] == "queued"


def test_delays_add_up_beyond_the_largest_number(connection: Connection) -> None:
    define(connection, step("a", start_delay=LARGEST))
    query = "select run_id from pgflow.start_flows('flow', %s::jsonb[], p_delay => %s)"
    assert len(rows(connection, query, [as_json(1)], LARGEST)) == 1
    [message] = live(connection)
    assert message["seconds"] > LARGEST


def test_the_largest_limit_takes_all_there_is(connection: Connection) -> None:
    define(connection, "a*", "b* < a")
    run_id = start(connection, [1, 2, 3])
    assert len(exchange(connection, limit=LARGEST)["tasks"]) == 3
    reports: list[Any] = [(run_id, "a", index, index, 1) for index in range(3)]
    assert names(exchange(connection, reports, limit=LARGEST)) == [("b", 0), ("b", 1), ("b", 2)]


@pytest.mark.parametrize("limit", [0, -1, None])
def test_without_room_it_only_reports(connection: Connection, limit: Any) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    exchange(connection)
    exchanged = exchange(connection, [(run_id, "a", 0, 1, 1)], limit=limit)
    assert exchanged["recorded"] == [1]
    assert (exchanged["tasks"], exchanged["pause"]) == (None, None)
    assert task(connection, run_id, "b")["status"] == "queued"


def test_everything_may_be_null(connection: Connection) -> None:
    nothing = [None] * 12
    found = row(connection, f"select * from pgflow.exchange_tasks({', '.join(['%s'] * 12)})", *nothing)
    assert found.pop("recorded") == found.pop("read_until") == []
    assert found == {"tasks": None, "ended_runs": None, "skipped_steps": None, "pause": None}


def test_a_worker_that_is_not_known_gets_nothing_and_neither_do_its_reports(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    exchange(connection)
    query = "select pgflow.exchange_tasks(%s, %s, %s, %s, %s::jsonb[], %s, %s, %s, %s, %s, %s)"
    report: list[Any] = [[run_id], ["a"], [0], [1], [as_json(1)], [None], [None], [None]]
    with refused(connection, "23503"):
        connection.execute(query, (*report, ["flow"], [UNKNOWN], 10))
    assert task(connection, run_id, "a")["status"] == "started"
    connection.execute(query, (*report, [], [], 10))
    assert task(connection, run_id, "a")["status"] == "completed"


def test_a_flow_without_a_worker_is_passed_over(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    query = """
        select tasks from pgflow.exchange_tasks(
          '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', array['flow', null, 'nowhere'], array[null]::uuid[], 10)
    """
    assert value(connection, query) is None
    assert task(connection, run_id, "a")["status"] == "queued"


def test_a_flow_that_is_named_twice_is_asked_once_more(connection: Connection) -> None:
    define(connection, "a*")
    run_id = start(connection, [1, 2, 3])
    assert len(exchange(connection, flows=["flow", "flow"], limit=2)["tasks"]) == 2
    assert len(exchange(connection, flows=["flow", "flow"], limit=2)["tasks"]) == 1
    assert {found["attempts_count"] for found in tasks(connection, run_id)} == {1}


def test_tasks_are_handed_over_in_the_order_of_their_messages(connection: Connection) -> None:
    define(connection, "z*", "y*", "x*", "w < z", max_attempts=9, base_delay=0)
    for _ in range(3):
        start(connection, list(range(20)))
    register(connection)
    for _ in range(3):  # tasks move to other places of their table when they are changed
        handed = exchange(connection, limit=50)["tasks"]
        assert [found["message_id"] for found in handed] == sorted(found["message_id"] for found in handed)
        failed: list[Any] = [
            (found["run_id"], found["step_slug"], found["task_index"], "boom", found["attempt"]) for found in handed
        ]
        exchange(connection, failed=failed[::-1], limit=0)


def test_fetched_tasks_come_in_the_order_of_their_messages(connection: Connection) -> None:
    define(connection, "z*", "a*")
    start(connection, list(range(20)))
    register(connection)
    query = "select message_id from pgflow.fetch_tasks('flow', %s, 100)"
    found = [found["message_id"] for found in rows(connection, query, WORKER)]
    assert found == sorted(found)
    assert fetch(connection) == []
