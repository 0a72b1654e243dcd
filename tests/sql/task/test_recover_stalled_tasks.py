"""`recover_stalled_tasks` puts stalled tasks back as `requeue_stalled_tasks` does, with a margin of one's own."""

from __future__ import annotations

import pytest

from sql.engine import (
    Connection,
    begin,
    define,
    exhaust,
    fetch,
    row,
    set_clock,
    snapshot,
    start,
    step,
    task,
    value,
)


def recover(connection: Connection, threshold: float = 0) -> tuple[int, int]:
    """Return the number of tasks put back, and of queues they were put into."""
    found = row(connection, "select * from pgflow.recover_stalled_tasks(%s)", threshold)
    return found["recovered_count"], found["vt_batches"]


def let_pass(connection: Connection, seconds: float) -> None:
    set_clock(connection, value(connection, "select (pgflow._now() + make_interval(secs => %s))::text", seconds))


@pytest.mark.feature("A2.14")
@pytest.mark.parametrize(("threshold", "seconds", "count"), [(0, 60, 0), (0, 61, 1), (5, 65, 0), (0.5, 60.6, 1)])
def test_a_task_is_stalled_so_many_seconds_after_its_timeout(
    connection: Connection, threshold: float, seconds: float, count: int
) -> None:
    define(connection, "a", timeout=60)
    begin(connection, start(connection), "a")
    let_pass(connection, seconds)
    assert recover(connection, threshold)[0] == count


def test_the_timeout_of_the_step_counts(connection: Connection) -> None:
    define(connection, step("short", timeout=10), step("long", timeout=1000), timeout=100)
    run_id = start(connection)
    begin(connection, run_id, "short")
    begin(connection, run_id, "long")
    let_pass(connection, 200)
    assert recover(connection)[0] == 1
    assert task(connection, run_id, "long")["status"] == "started"


@pytest.mark.feature("A2.14")
def test_a_recovered_task_can_be_started_again_at_once(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    let_pass(connection, 100)
    recover(connection)
    found = task(connection, run_id, "a")
    assert (found["status"], found["requeued_count"], found["last_worker_id"]) == ("queued", 1, None)
    assert [(started["run_id"], started["attempt"]) for started in fetch(connection)] == [(run_id, 2)]


def test_queues_are_counted_once_each(connection: Connection) -> None:
    for flow in ("one", "two", "three"):
        define(connection, "a", "b", flow=flow)
    for flow in ("one", "two"):
        start(connection, flow=flow)
        fetch(connection, flow)
    let_pass(connection, 100)
    assert recover(connection) == (4, 2)


def test_where_nothing_is_stalled_nothing_changes(connection: Connection) -> None:
    define(connection, "a")
    begin(connection, start(connection), "a")
    before = snapshot(connection)
    assert recover(connection) == (0, 0)
    assert snapshot(connection) == before


def test_tasks_of_a_failed_run_are_left_alone(connection: Connection) -> None:
    define(connection, "a", "b", max_attempts=1)
    run_id = start(connection)
    begin(connection, run_id, "a")
    exhaust(connection, run_id, "b")
    let_pass(connection, 100)
    assert recover(connection) == (0, 0)


def test_after_three_times_a_task_is_given_up(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    recovered = []
    for _ in range(5):
        begin(connection, run_id, "a")
        let_pass(connection, 100)
        recovered.append(recover(connection))
    assert recovered == [(1, 1), (1, 1), (1, 1), (0, 0), (0, 0)]
    assert task(connection, run_id, "a")["permanently_stalled_at"] is not None


def test_times_of_both_functions_count_together(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    for function in ("requeue_stalled_tasks()", "recover_stalled_tasks(1)") * 2:
        begin(connection, run_id, "a")
        let_pass(connection, 100)
        connection.execute(f"select pgflow.{function}")
    assert task(connection, run_id, "a")["permanently_stalled_at"] is not None
