"""`fail_task` while attempts are left: the task goes back to the queue and waits."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    Connection,
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
    start,
    state,
    step,
    task,
)


def fail_attempts(connection: Connection, run_id: UUID, count: int) -> float:
    """Start and fail the task of step a so many times; the seconds until its message is visible again."""
    for _ in range(count):
        begin(connection, run_id, "a")
        fail(connection, run_id, "a")
    [message] = live(connection)
    return float(message["seconds"])


@pytest.fixture
def failed_once(connection: Connection) -> UUID:
    """A run of the single step a with three attempts, of which the first has failed."""
    define(connection, "a", max_attempts=3, base_delay=5)
    run_id = start(connection)
    fail_attempts(connection, run_id, 1)
    return run_id


@pytest.mark.feature("A2.4", "A5.21")
def test_the_task_is_queued_again_with_its_error(connection: Connection, failed_once: UUID) -> None:
    failed = task(connection, failed_once, "a")
    assert (failed["status"], failed["error_message"]) == ("queued", "boom")


def test_the_task_has_neither_started_nor_failed(connection: Connection, failed_once: UUID) -> None:
    failed = task(connection, failed_once, "a")
    assert (failed["started_at"], failed["failed_at"]) == (None, None)


def test_the_attempt_is_counted_and_the_worker_remembered(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    started = task(connection, run_id, "a")
    failed = fail(connection, run_id, "a")
    assert (failed["attempts_count"], failed["last_worker_id"]) == (1, started["last_worker_id"])


def test_queued_at_stays_when_the_task_was_created(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    created = task(connection, run_id, "a")
    begin(connection, run_id, "a")
    assert fail(connection, run_id, "a")["queued_at"] == created["queued_at"]


def test_the_step_stays_started_without_an_error(connection: Connection, failed_once: UUID) -> None:
    retried = state(connection, failed_once, "a")
    assert (retried["status"], retried["error_message"], retried["remaining_tasks"]) == ("started", None, 1)


def test_the_run_goes_on(connection: Connection, failed_once: UUID) -> None:
    retried = run(connection, failed_once)
    assert (retried["status"], retried["remaining_steps"], retried["failed_at"]) == ("started", 1, None)


@pytest.mark.feature("A5.21")
@pytest.mark.usefixtures("failed_once")
def test_the_message_is_not_archived(connection: Connection) -> None:
    assert (len(live(connection)), archived(connection)) == (1, [])


@pytest.mark.feature("A4.9")
@pytest.mark.usefixtures("failed_once")
def test_the_message_is_not_visible_before_its_delay_is_over(connection: Connection) -> None:
    assert read(connection) == []


def test_no_event_is_sent(recorded: Connection) -> None:
    define(recorded, "a")
    run_id = start(recorded)
    forget_events(recorded)
    fail_attempts(recorded, run_id, 1)
    assert event_names(recorded) == []


@pytest.mark.feature("A4.9")
@pytest.mark.parametrize(("failures", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 80)])
def test_with_base_delay_5_the_delay_doubles(connection: Connection, failures: int, seconds: int) -> None:
    define(connection, "a", max_attempts=5, base_delay=5)
    assert fail_attempts(connection, start(connection), failures) == pytest.approx(seconds, abs=2)


def test_the_base_delay_of_the_step_counts_before_that_of_the_flow(connection: Connection) -> None:
    define(connection, step("a", base_delay=50), base_delay=1)
    assert fail_attempts(connection, start(connection), 1) == pytest.approx(100, abs=2)


def test_with_base_delay_0_the_message_is_visible_at_once(connection: Connection) -> None:
    define(connection, "a", base_delay=0)
    run_id = start(connection)
    fail_attempts(connection, run_id, 1)
    assert read(connection) == [task(connection, run_id, "a")["message_id"]]


@pytest.mark.breaks_invariants
def test_a_delay_too_long_for_an_int_is_capped_instead_of_an_error(connection: Connection) -> None:
    define(connection, "a", max_attempts=1000, base_delay=5)
    run_id = start(connection)
    begin(connection, run_id, "a")
    connection.execute("update pgflow.step_tasks set attempts_count = 500")
    assert fail(connection, run_id, "a")["status"] == "queued"
    assert live(connection)[0]["seconds"] == pytest.approx(2**31 - 1, abs=5)


def test_the_start_delay_of_a_step_plays_no_part_in_a_retry(connection: Connection) -> None:
    define(connection, step("a", start_delay=3600), base_delay=5)
    assert fail_attempts(connection, start(connection), 1) == pytest.approx(10, abs=2)


def test_only_the_failed_task_of_a_map_waits(connection: Connection) -> None:
    define(connection, "a*", base_delay=50)
    run_id = start(connection, [1, 2])
    begin(connection, run_id, "a")
    fail(connection, run_id, "a", index=1)
    assert [found["seconds"] for found in live(connection)] == [pytest.approx(62, abs=2), pytest.approx(100, abs=2)]


def test_a_retried_task_counts_its_next_attempt(connection: Connection, failed_once: UUID) -> None:
    begin(connection, failed_once, "a")
    assert task(connection, failed_once, "a")["attempts_count"] == 2


def test_a_retried_task_can_complete(connection: Connection, failed_once: UUID) -> None:
    begin(connection, failed_once, "a")
    complete(connection, failed_once, "a", "done")
    assert run(connection, failed_once)["output"] == {"a": "done"}


def test_a_completed_task_keeps_the_error_of_its_earlier_attempt(connection: Connection, failed_once: UUID) -> None:
    begin(connection, failed_once, "a")
    assert complete(connection, failed_once, "a", "done")["error_message"] == "boom"


@pytest.mark.feature("A5.5")
@pytest.mark.parametrize("max_attempts", [1, 2, 3, 5])
def test_a_task_is_started_as_often_as_attempts_are_allowed(connection: Connection, max_attempts: int) -> None:
    define(connection, "a", max_attempts=max_attempts)
    assert exhaust(connection, start(connection), "a")["attempts_count"] == max_attempts


def test_the_attempts_of_a_step_can_be_more_than_those_of_the_flow(connection: Connection) -> None:
    define(connection, step("a", max_attempts=4), max_attempts=1)
    assert exhaust(connection, start(connection), "a")["attempts_count"] == 4


def test_the_last_error_is_kept(connection: Connection, failed_once: UUID) -> None:
    begin(connection, failed_once, "a")
    assert fail(connection, failed_once, "a", "another")["error_message"] == "another"


@pytest.mark.parametrize("when_exhausted", ["skip", "skip-cascade"])
def test_skipping_waits_until_the_attempts_are_used_up(connection: Connection, when_exhausted: str) -> None:
    define(connection, step("a", when_exhausted=when_exhausted), max_attempts=2)
    run_id = start(connection)
    fail_attempts(connection, run_id, 1)
    assert state(connection, run_id, "a")["status"] == "started"
