"""`requeue_stalled_tasks` puts tasks back that somebody started and never reported, and gives up after three times."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    Connection,
    announced,
    archived,
    begin,
    complete,
    define,
    event_names,
    exhaust,
    fail,
    forget_events,
    live,
    read,
    run,
    set_clock,
    snapshot,
    start,
    state,
    step,
    task,
    tasks,
    value,
)


def requeue(connection: Connection) -> int:
    count = value(connection, "select pgflow.requeue_stalled_tasks()")
    assert isinstance(count, int)
    return count


def turn_clock(connection: Connection, seconds: int) -> None:
    """Set the clock to so many seconds after the start of the transaction."""
    set_clock(connection, value(connection, "select (now() + make_interval(secs => %s))::text", seconds))


def stall(connection: Connection, max_attempts: int = 3) -> UUID:
    """Start the task of the single step a and let five minutes go by."""
    define(connection, "a", max_attempts=max_attempts)
    run_id = start(connection)
    begin(connection, run_id, "a")
    turn_clock(connection, 300)
    return run_id


def give_up(connection: Connection) -> UUID:
    """Stall the task of step a until it is given up."""
    run_id = stall(connection)
    for hour in range(1, 5):
        requeue(connection)
        begin(connection, run_id, "a")
        turn_clock(connection, 3600 * hour)
    return run_id


@pytest.mark.parametrize(("seconds", "count"), [(29, 0), (30, 0), (31, 1)])
def test_a_task_is_stalled_half_a_minute_after_its_timeout(connection: Connection, seconds: int, count: int) -> None:
    define(connection, "a", timeout=60)
    begin(connection, start(connection), "a")
    turn_clock(connection, 60 + seconds)
    assert requeue(connection) == count


@pytest.mark.parametrize(("seconds", "count"), [(119, 0), (121, 1)])
@pytest.mark.parametrize("timeout", [10, 1000], ids=["shorter", "longer"])
def test_the_timeout_of_the_step_counts_whether_that_of_the_flow_is(
    connection: Connection, timeout: int, seconds: int, count: int
) -> None:
    define(connection, step("a", timeout=90), timeout=timeout)
    begin(connection, start(connection), "a")
    turn_clock(connection, seconds)
    assert requeue(connection) == count


def test_each_flow_has_its_own_timeout(connection: Connection) -> None:
    define(connection, "a", flow="fast", timeout=10)
    define(connection, "a", flow="slow", timeout=600)
    fast, slow = start(connection, flow="fast"), start(connection, flow="slow")
    begin(connection, fast, "a")
    begin(connection, slow, "a")
    turn_clock(connection, 60)
    assert requeue(connection) == 1
    assert [task(connection, run_id, "a")["status"] for run_id in (fast, slow)] == ["queued", "started"]


def test_a_requeued_task_is_queued_as_if_never_started(connection: Connection) -> None:
    run_id = stall(connection)
    requeue(connection)
    requeued = task(connection, run_id, "a")
    assert (requeued["status"], requeued["started_at"], requeued["last_worker_id"]) == ("queued", None, None)


def test_a_requeued_task_keeps_its_attempts(connection: Connection) -> None:
    run_id = stall(connection)
    requeue(connection)
    assert task(connection, run_id, "a")["attempts_count"] == 1


def test_being_requeued_is_counted_and_dated(connection: Connection) -> None:
    run_id = stall(connection)
    requeue(connection)
    requeued = task(connection, run_id, "a")
    assert requeued["requeued_count"] == 1
    assert (requeued["last_requeued_at"] - requeued["queued_at"]).total_seconds() == 300


def test_the_message_of_a_requeued_task_is_readable_at_once(connection: Connection) -> None:
    run_id = stall(connection)
    assert read(connection) == []
    requeue(connection)
    assert read(connection) == [task(connection, run_id, "a")["message_id"]]


def test_a_requeued_task_can_be_started_and_completed(connection: Connection) -> None:
    run_id = stall(connection)
    requeue(connection)
    begin(connection, run_id, "a")
    complete(connection, run_id, "a", "done")
    assert run(connection, run_id)["output"] == {"a": "done"}


def test_step_and_run_do_not_change(connection: Connection) -> None:
    run_id = stall(connection)
    before = (state(connection, run_id, "a"), run(connection, run_id))
    requeue(connection)
    assert (state(connection, run_id, "a"), run(connection, run_id)) == before


def test_requeueing_sends_no_event(recorded: Connection) -> None:
    stall(recorded)
    forget_events(recorded)
    requeue(recorded)
    assert event_names(recorded) == []


def test_a_second_call_right_away_requeues_nothing(connection: Connection) -> None:
    stall(connection)
    requeue(connection)
    before = snapshot(connection)
    assert requeue(connection) == 0
    assert snapshot(connection) == before


def test_the_number_counts_tasks_of_all_flows(connection: Connection) -> None:
    define(connection, "a*")
    define(connection, "a", flow="other")
    begin(connection, start(connection, [1, 2]), "a")
    begin(connection, start(connection, flow="other"), "a")
    turn_clock(connection, 300)
    assert requeue(connection) == 3


def test_queued_completed_and_failed_tasks_are_left_alone(connection: Connection) -> None:
    define(connection, "a", "b", step("c", max_attempts=1, when_exhausted="skip"), step("d", start_delay=900))
    run_id = start(connection)
    begin(connection, run_id, "a")
    complete(connection, run_id, "a")
    exhaust(connection, run_id, "c")
    turn_clock(connection, 300)
    before = tasks(connection, run_id)
    assert requeue(connection) == 0
    assert tasks(connection, run_id) == before


def test_a_started_task_of_a_failed_run_is_left_alone(connection: Connection) -> None:
    define(connection, "a", step("b", max_attempts=1))
    run_id = start(connection)
    begin(connection, run_id, "a")
    exhaust(connection, run_id, "b")
    turn_clock(connection, 300)
    assert requeue(connection) == 0
    assert task(connection, run_id, "a")["status"] == "started"


@pytest.mark.breaks_invariants
def test_a_task_without_a_message_is_requeued_all_the_same(connection: Connection) -> None:
    run_id = stall(connection)
    connection.execute("update pgflow.step_tasks set message_id = null")
    assert requeue(connection) == 1
    assert task(connection, run_id, "a")["status"] == "queued"


def test_a_task_is_requeued_three_times(connection: Connection) -> None:
    run_id = stall(connection)
    counts = []
    for hour in range(1, 6):
        counts.append(requeue(connection))
        begin(connection, run_id, "a")
        turn_clock(connection, 3600 * hour)
    assert counts == [1, 1, 1, 0, 0]


def test_a_task_that_is_given_up_stays_started_where_operators_find_it(connection: Connection) -> None:
    given_up = task(connection, give_up(connection), "a")
    assert (given_up["status"], given_up["requeued_count"]) == ("started", 3)
    assert given_up["permanently_stalled_at"] is not None
    assert given_up["started_at"] is not None


def test_the_message_of_a_task_that_is_given_up_is_archived(connection: Connection) -> None:
    give_up(connection)
    assert (live(connection), announced(archived(connection))) == ([], [("a", 0)])


def test_the_run_of_a_task_that_is_given_up_stays_started(connection: Connection) -> None:
    run_id = give_up(connection)
    assert (run(connection, run_id)["status"], state(connection, run_id, "a")["status"]) == ("started", "started")


def test_a_task_that_is_given_up_is_never_looked_at_again(connection: Connection) -> None:
    give_up(connection)
    before = snapshot(connection)
    assert requeue(connection) == 0
    assert snapshot(connection) == before


def test_a_late_completion_of_a_requeued_task_is_ignored(connection: Connection) -> None:
    run_id = stall(connection)
    requeue(connection)
    late = complete(connection, run_id, "a", "late")
    assert (late["status"], late["output"]) == ("queued", None)
    assert announced(live(connection)) == [("a", 0)]


def test_a_late_failure_of_a_requeued_task_leaves_its_message_visible(connection: Connection) -> None:
    run_id = stall(connection)
    requeue(connection)
    fail(connection, run_id, "a", "late")
    assert len(read(connection)) == 1


def test_a_requeued_task_fails_for_good_when_its_attempts_are_used_up(connection: Connection) -> None:
    run_id = stall(connection, max_attempts=2)
    requeue(connection)
    begin(connection, run_id, "a")
    assert fail(connection, run_id, "a")["status"] == "failed"
