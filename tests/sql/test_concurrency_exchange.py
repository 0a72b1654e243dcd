"""Exchanges that meet: two workers, recovery, and runs that fail or vanish meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sql.engine import (
    OTHER_WORKER,
    WORKER,
    Connection,
    Row,
    connect,
    define,
    exchange,
    live,
    register,
    run,
    set_clock,
    start,
    statuses,
    step,
    tasks,
    value,
)
from sql.sessions import DEADLINE_SECONDS, Session, sessions, wait_until_blocked


@pytest.fixture
def observer(database_url: str) -> Iterator[Connection]:
    with connect(database_url, autocommit=True) as observer:
        for worker in (WORKER, OTHER_WORKER):
            register(observer, worker)
        yield observer


@pytest.fixture
def pair(database_url: str) -> Iterator[list[Session]]:
    with sessions(database_url) as pair:
        yield pair


def names(exchanged: Row) -> list[str]:
    return [found["step_slug"] for found in exchanged["tasks"] or []]


def test_of_two_exchanges_that_end_the_parents_of_a_step_the_later_one_gets_it(
    observer: Connection, pair: list[Session]
) -> None:
    first, second = pair
    define(observer, "a", "b", "c < a b")
    run_id = start(observer)
    exchange(observer)
    assert names(exchange(first.connection, [(run_id, "a", 0, 1, 1)])) == []
    call = second.in_background(exchange, [(run_id, "b", 0, 2, 1)], worker=OTHER_WORKER)
    wait_until_blocked(observer, second, first, call)
    first.connection.commit()
    exchanged = call.result(timeout=DEADLINE_SECONDS)
    second.connection.commit()
    assert names(exchanged) == ["c"]
    assert exchanged["tasks"][0]["input"] == {"a": 1, "b": 2}
    [joined] = tasks(observer, run_id, "c")
    assert joined["last_worker_id"] == OTHER_WORKER


def test_the_same_report_twice_at_once_counts_once_and_continues_once(
    observer: Connection, pair: list[Session]
) -> None:
    first, second = pair
    define(observer, "a", "b < a")
    run_id = start(observer)
    exchange(observer)
    assert names(exchange(first.connection, [(run_id, "a", 0, 1, 1)])) == ["b"]
    call = second.in_background(exchange, [(run_id, "a", 0, 2, 1)])
    wait_until_blocked(observer, second, first, call)
    first.connection.commit()
    exchanged = call.result(timeout=DEADLINE_SECONDS)
    second.connection.commit()
    assert (exchanged["recorded"], exchanged["tasks"]) == ([], None)


def test_tasks_that_somebody_is_being_handed_are_neither_waited_for_nor_handed_twice(
    observer: Connection, pair: list[Session]
) -> None:
    first, second = pair
    define(observer, "m*")
    start(observer, [1, 2, 3, 4])
    mine = exchange(first.connection, limit=3)["tasks"]
    call = second.in_background(exchange, limit=3, worker=OTHER_WORKER)
    others = call.result(timeout=DEADLINE_SECONDS)["tasks"]
    assert sorted(found["task_index"] for found in (*mine, *others)) == [0, 1, 2, 3]


def test_a_run_that_fails_while_its_tasks_are_handed_over_takes_their_messages_with_it(
    observer: Connection, pair: list[Session]
) -> None:
    first, second = pair
    define(observer, step("a", max_attempts=1), step("b", start_delay=0))
    run_id = start(observer)
    [handed] = exchange(observer, limit=1)["tasks"]
    assert handed["step_slug"] == "a"
    assert names(exchange(first.connection)) == ["b"]
    failing = second.in_background(exchange, failed=[(run_id, "a", 0, "boom", 1)], worker=OTHER_WORKER)
    wait_until_blocked(observer, second, first, failing)
    first.connection.commit()
    assert failing.result(timeout=DEADLINE_SECONDS)["recorded"] == [1]
    second.connection.commit()
    assert (run(observer, run_id)["status"], live(observer)) == ("failed", [])
    assert exchange(observer, [(run_id, "b", 0, 1, 1)])["recorded"] == []
    assert statuses(observer, run_id) == {"a": "failed", "b": "started"}


def test_what_recovery_puts_back_meanwhile_is_no_longer_reported(observer: Connection, pair: list[Session]) -> None:
    first, second = pair
    define(observer, "a", "b", base_delay=0)
    run_id = start(observer)
    exchange(observer)
    recovery = first.connection
    set_clock(recovery, value(recovery, "select (now() + interval '5 minutes')::text"))
    assert value(recovery, "select pgflow.requeue_stalled_tasks()") == 2
    reports = [(run_id, "a", 0, 1, 1)], [(run_id, "b", 0, "boom", 1)]
    call = second.in_background(exchange, *reports, limit=0)
    wait_until_blocked(observer, second, first, call)
    recovery.commit()
    assert call.result(timeout=DEADLINE_SECONDS)["recorded"] == []
    second.connection.commit()
    again = exchange(observer, worker=OTHER_WORKER)["tasks"]
    assert [(found["step_slug"], found["attempt"]) for found in again] == [("a", 2), ("b", 2)]


def test_a_flow_that_is_deleted_meanwhile_leaves_nothing_to_report(observer: Connection, pair: list[Session]) -> None:
    first, second = pair
    define(observer, "a", "b < a")
    define(observer, "a", flow="other")
    run_id = start(observer)
    exchange(observer)
    other = start(observer, flow="other")
    register(observer, WORKER, "other")
    first.connection.execute("select pgflow.delete_flow_and_data('flow')")
    call = second.in_background(exchange, [(run_id, "a", 0, 1, 1)], flows=["flow", "other"])
    wait_until_blocked(observer, second, first, call)
    first.connection.commit()
    exchanged = call.result(timeout=DEADLINE_SECONDS)
    second.connection.commit()
    assert (exchanged["recorded"], [found["run_id"] for found in exchanged["tasks"]]) == ([], [str(other)])


@pytest.mark.parametrize("asked", [["flow", "other"], ["other", "flow"]])
def test_deleting_a_flow_waits_for_an_exchange_and_never_in_a_circle(
    observer: Connection, pair: list[Session], asked: list[str]
) -> None:
    first, second = pair
    define(observer, "a", "b < a")
    define(observer, "a", flow="other")
    run_id = start(observer)
    exchange(observer)
    exchanging = first.connection
    exchanged = exchange(exchanging, [(run_id, "a", 0, 1, 1)], flows=asked)
    assert names(exchanged) == ["b"]

    def delete(connection: Connection) -> None:
        connection.execute("select pgflow.delete_flow_and_data('flow')")

    call = second.in_background(delete)
    wait_until_blocked(observer, second, first, call)
    assert exchange(exchanging, [(run_id, "b", 0, 1, 1)], flows=asked)["recorded"] == [1]
    exchanging.commit()
    call.result(timeout=DEADLINE_SECONDS)
    second.connection.commit()


def test_a_task_whose_row_was_changed_while_its_report_waited_is_completed(
    observer: Connection, pair: list[Session]
) -> None:
    """As when the row of its worker is deleted: the report has to find the new version of the task."""
    first, second = pair
    define(observer, "a", "b < a")
    run_id = start(observer)
    exchange(observer)
    first.connection.execute("update pgflow.step_tasks set last_worker_id = null")
    call = second.in_background(exchange, [(run_id, "a", 0, 1, 1)], worker=OTHER_WORKER)
    wait_until_blocked(observer, second, first, call)
    first.connection.commit()
    exchanged = call.result(timeout=DEADLINE_SECONDS)
    second.connection.commit()
    assert (exchanged["recorded"], names(exchanged)) == ([1], ["b"])
    assert statuses(observer, run_id) == {"a": "completed", "b": "started"}
