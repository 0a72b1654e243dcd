"""Cancelling and retrying meet everything else that can happen to a run at that moment."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import sql

from sql.control import cancel_one, retry_one
from sql.engine import (
    OTHER_WORKER,
    Connection,
    announced,
    archived,
    begin,
    complete,
    complete_batch,
    connect,
    define,
    event_names,
    exchange,
    exhaust,
    fail,
    fetch,
    live,
    read,
    record_events,
    register,
    rows,
    run,
    set_clock,
    start,
    start_tasks,
    state,
    statuses,
    task,
    tasks,
    value,
)
from sql.sessions import Sessions


def running(both: Sessions, *steps: str, run_input: object = None, **options: object) -> UUID:
    """Start a run whose step a is being worked on."""
    record_events(both.observer)
    register(both.observer, OTHER_WORKER)
    define(both.observer, *steps, **options)
    run_id = start(both.observer, run_input or {})
    begin(both.observer, run_id, "a")
    return run_id


def failed(both: Sessions, *steps: str) -> UUID:
    """Start a run and fail it by its step a."""
    run_id = running(both, *steps, max_attempts=1)
    exhaust(both.observer, run_id, "a")
    return run_id


def requeue(connection: Connection) -> int:
    """Recover stalled tasks as if five minutes had gone by."""
    set_clock(connection, value(connection, "select (now() + interval '5 minutes')::text"))
    count = value(connection, "select pgflow.requeue_stalled_tasks()")
    assert isinstance(count, int)
    return count


def prune(connection: Connection) -> int:
    """Prune what has ended a minute ago, as if that were an hour ago."""
    set_clock(connection, value(connection, "select (now() + interval '1 hour')::text"))
    deleted = value(connection, "select deleted_runs from pgflow.prune_data_older_than('1 minute', null)")
    assert isinstance(deleted, int)
    return deleted


def delete_flow(connection: Connection) -> None:
    connection.execute("select pgflow.delete_flow_and_data('flow')")


class TestCancelling:
    def test_it_waits_for_a_completion_and_stops_what_that_has_started(self, both: Sessions) -> None:
        run_id = running(both, "a", "b < a")
        complete(both.first.connection, run_id, "a", "in time")
        assert both.second_waits_for_first(cancel_one, run_id) == "cancelled"
        assert statuses(both.observer, run_id) == {"a": "completed", "b": "started"}
        assert (live(both.observer), announced(archived(both.observer))) == ([], [("a", 0), ("b", 0)])

    def test_it_comes_too_late_for_the_last_completion(self, both: Sessions) -> None:
        run_id = running(both, "a")
        complete(both.first.connection, run_id, "a", "in time")
        assert both.second_waits_for_first(cancel_one, run_id) == "ended"
        assert run(both.observer, run_id)["output"] == {"a": "in time"}
        assert event_names(both.observer)[-1] == "run:completed"

    @pytest.mark.parametrize("steps", [["a"], ["a", "b < a"]])
    def test_a_completion_that_waited_for_it_changes_nothing(self, both: Sessions, steps: list[str]) -> None:
        run_id = running(both, *steps)
        cancel_one(both.first.connection, run_id)
        assert both.second_waits_for_first(complete_batch, (run_id, "a", 0, "late", 1)) == []
        assert (task(both.observer, run_id, "a")["output"], run(both.observer, run_id)["status"]) == (None, "failed")

    def test_a_failure_that_waited_for_it_is_not_retried(self, both: Sessions) -> None:
        run_id = running(both, "a")
        cancel_one(both.first.connection, run_id)
        assert both.second_waits_for_first(fail, run_id, "a")["status"] == "failed"
        assert event_names(both.observer).count("run:failed") == 1
        assert live(both.observer) == []

    def test_an_exchange_that_waited_for_it_records_and_brings_nothing(self, both: Sessions) -> None:
        run_id = running(both, "a", "b < a")
        cancel_one(both.first.connection, run_id)
        exchanged = both.second_waits_for_first(exchange, [(run_id, "a", 0, "late", 1)])
        assert (exchanged["recorded"], exchanged["tasks"], exchanged["ended_runs"]) == ([], None, None)

    def test_it_waits_for_a_task_that_is_being_started_which_then_has_no_message(self, both: Sessions) -> None:
        run_id = running(both, "a", "b")
        assert len(fetch(both.first.connection, worker=OTHER_WORKER)) == 1
        assert both.second_waits_for_first(cancel_one, run_id) == "cancelled"
        assert (task(both.observer, run_id, "b")["status"], live(both.observer)) == ("started", [])
        assert complete_batch(both.observer, (run_id, "b", 0, "late", 1)) == []

    def test_who_fetches_meanwhile_gets_nothing_of_it(self, both: Sessions) -> None:
        run_id = running(both, "a", "b")
        other = start(both.observer)
        cancel_one(both.first.connection, run_id)
        fetched = both.second_does_not_wait(fetch, worker=OTHER_WORKER)
        assert {found["run_id"] for found in fetched} == {other}

    def test_who_has_read_its_message_before_starts_nothing(self, both: Sessions) -> None:
        run_id = running(both, "a", "b")
        message_ids = read(both.observer)
        assert cancel_one(both.observer, run_id) == "cancelled"
        assert start_tasks(both.observer, message_ids) == []

    def test_of_two_cancellations_the_first_counts(self, both: Sessions) -> None:
        run_id = running(both, "a")
        assert cancel_one(both.first.connection, run_id, "first") == "cancelled"
        assert both.second_waits_for_first(cancel_one, run_id, "second") == "already_cancelled"
        assert value(both.observer, "select reason from pgflow.run_cancellations") == "first"
        assert event_names(both.observer).count("run:failed") == 1

    def test_one_that_waited_for_a_rollback_counts(self, both: Sessions) -> None:
        run_id = running(both, "a")
        cancel_one(both.first.connection, run_id, "first")
        both.first.connection.rollback()
        assert cancel_one(both.observer, run_id, "second") == "cancelled"
        assert value(both.observer, "select reason from pgflow.run_cancellations") == "second"

    def test_it_waits_for_a_failure_of_its_own(self, both: Sessions) -> None:
        run_id = running(both, "a", max_attempts=1)
        fail(both.first.connection, run_id, "a")
        assert both.second_waits_for_first(cancel_one, run_id) == "ended"

    def test_it_takes_the_message_of_a_task_that_recovery_is_putting_back(self, both: Sessions) -> None:
        run_id = running(both, "a")
        assert requeue(both.first.connection) == 1
        assert both.second_waits_for_first(cancel_one, run_id) == "cancelled"
        assert live(both.observer) == []

    def test_recovery_passes_over_its_tasks(self, both: Sessions) -> None:
        run_id = running(both, "a")
        cancel_one(both.first.connection, run_id)
        assert both.second_does_not_wait(requeue) == 0
        assert live(both.observer) == []

    def test_a_run_that_is_being_pruned_is_not_found(self, both: Sessions) -> None:
        run_id = failed(both, "a")
        assert prune(both.first.connection) == 1
        assert both.second_waits_for_first(cancel_one, run_id) == "not_found"

    def test_pruning_leaves_a_run_that_is_being_cancelled(self, both: Sessions) -> None:
        run_id = running(both, "a")
        cancel_one(both.first.connection, run_id)
        assert both.second_does_not_wait(prune) == 0
        assert run(both.observer, run_id)["status"] == "failed"

    def test_a_run_whose_flow_is_being_deleted_is_not_found(self, both: Sessions) -> None:
        run_id = running(both, "a")
        delete_flow(both.first.connection)
        assert both.second_waits_for_first(cancel_one, run_id) == "not_found"

    def test_who_dies_before_the_commit_has_cancelled_nothing(self, both: Sessions, database_url: str) -> None:
        run_id = running(both, "a")
        dying = connect(database_url)
        cancel_one(dying, run_id)
        both.observer.execute("select pg_terminate_backend(%s, 20000)", (dying.info.backend_pid,))
        dying.close()
        assert run(both.observer, run_id)["status"] == "started"
        assert len(live(both.observer)) == 1


class TestRetrying:
    def test_of_two_retries_the_first_counts(self, both: Sessions) -> None:
        run_id = failed(both, "a", "b")
        assert retry_one(both.first.connection, run_id) == "retried"
        assert both.second_waits_for_first(retry_one, run_id) == "running"
        assert announced(live(both.observer)) == [("a", 0), ("b", 0)]

    def test_it_waits_for_a_cancellation_and_takes_it_back(self, both: Sessions) -> None:
        run_id = running(both, "a", "b")
        cancel_one(both.first.connection, run_id)
        assert both.second_waits_for_first(retry_one, run_id) == "retried"
        assert announced(live(both.observer)) == [("a", 0), ("b", 0)]
        assert rows(both.observer, "select * from pgflow.run_cancellations") == []

    def test_a_cancellation_that_waited_for_it_counts(self, both: Sessions) -> None:
        run_id = failed(both, "a")
        retry_one(both.first.connection, run_id)
        assert both.second_waits_for_first(cancel_one, run_id) == "cancelled"
        assert live(both.observer) == []

    @pytest.mark.parametrize("report", [complete, fail])
    def test_a_late_report_that_waited_for_it_changes_nothing(self, both: Sessions, report: Any) -> None:
        run_id = running(both, "a", "b")
        cancel_one(both.observer, run_id)
        retry_one(both.first.connection, run_id)
        reported = both.second_waits_for_first(report, run_id, "a", "late")
        assert (reported["status"], reported["output"], reported["error_message"]) == ("queued", None, None)
        assert announced(live(both.observer)) == [("a", 0), ("b", 0)]

    def test_a_late_failure_that_comes_before_it_is_tried_again(self, both: Sessions) -> None:
        run_id = running(both, "a")
        cancel_one(both.observer, run_id)
        assert fail(both.first.connection, run_id, "a", "late")["status"] == "failed"
        assert both.second_waits_for_first(retry_one, run_id) == "retried"
        assert [found["attempt"] for found in fetch(both.observer)] == [2]

    def test_a_late_report_of_an_attempt_from_before_is_fenced_off_after_the_next_has_begun(
        self, both: Sessions
    ) -> None:
        run_id = running(both, "a", "b < a")
        cancel_one(both.observer, run_id)
        retry_one(both.observer, run_id)
        assert [found["attempt"] for found in fetch(both.first.connection, worker=OTHER_WORKER)] == [2]
        assert both.second_waits_for_first(complete_batch, (run_id, "a", 0, "late", 1)) == []
        assert complete_batch(both.observer, (run_id, "a", 0, "new", 2)) == [1]

    def test_who_has_read_the_old_message_starts_nothing(self, both: Sessions) -> None:
        run_id = running(both, "a", "b")
        message_ids = read(both.observer)
        cancel_one(both.observer, run_id)
        retry_one(both.observer, run_id)
        assert start_tasks(both.observer, message_ids) == []
        assert [found["step_slug"] for found in fetch(both.observer)] == ["a", "b"]
        assert fetch(both.observer) == []

    def test_who_fetches_meanwhile_does_not_wait_and_gets_nothing_of_it(self, both: Sessions) -> None:
        run_id = failed(both, "a", "b")
        retry_one(both.first.connection, run_id)
        assert both.second_does_not_wait(fetch, worker=OTHER_WORKER) == []
        assert len(fetch(both.observer)) == 2

    def test_recovery_passes_over_its_tasks(self, both: Sessions) -> None:
        run_id = running(both, "a")
        cancel_one(both.observer, run_id)
        retry_one(both.first.connection, run_id)
        assert both.second_does_not_wait(requeue) == 0
        assert task(both.observer, run_id, "a")["requeued_count"] == 0

    def test_pruning_that_waited_for_it_leaves_the_run(self, both: Sessions) -> None:
        run_id = failed(both, "a")
        retry_one(both.first.connection, run_id)
        assert both.second_waits_for_first(prune) == 0
        assert run(both.observer, run_id)["status"] == "started"

    def test_a_run_that_is_being_pruned_is_not_found(self, both: Sessions) -> None:
        run_id = failed(both, "a")
        assert prune(both.first.connection) == 1
        assert both.second_waits_for_first(retry_one, run_id) == "not_found"

    def test_a_run_whose_flow_is_being_deleted_is_not_found(self, both: Sessions) -> None:
        run_id = failed(both, "a")
        delete_flow(both.first.connection)
        assert both.second_waits_for_first(retry_one, run_id) == "not_found"

    def test_a_flow_is_deleted_with_a_run_that_is_being_retried(self, both: Sessions) -> None:
        run_id = failed(both, "a")
        retry_one(both.first.connection, run_id)
        both.second_waits_for_first(delete_flow)
        assert rows(both.observer, "select * from pgflow.runs where run_id = %s", run_id) == []

    def test_who_dies_before_the_commit_has_retried_nothing(self, both: Sessions, database_url: str) -> None:
        run_id = failed(both, "a")
        dying = connect(database_url)
        retry_one(dying, run_id)
        both.observer.execute("select pg_terminate_backend(%s, 20000)", (dying.info.backend_pid,))
        dying.close()
        assert (run(both.observer, run_id)["status"], live(both.observer)) == ("failed", [])
        assert retry_one(both.observer, run_id) == "retried"

    def test_a_worker_that_dies_after_it_leaves_a_task_that_recovery_puts_back(self, both: Sessions) -> None:
        run_id = failed(both, "a")
        retry_one(both.observer, run_id)
        assert len(fetch(both.observer, worker=OTHER_WORKER)) == 1
        with both.observer.transaction():
            assert requeue(both.observer) == 1
        [again] = fetch(both.observer)
        assert (again["attempt"], task(both.observer, run_id, "a")["attempts_before_retry"]) == (3, 1)
        assert complete_batch(both.observer, (run_id, "a", 0, "dead", 2), (run_id, "a", 0, "alive", 3)) == [2]

    def test_a_map_that_is_half_done_keeps_that_half(self, both: Sessions) -> None:
        run_id = running(both, "a*", run_input=[1, 2])
        complete(both.first.connection, run_id, "a", "first", 0)
        assert both.second_waits_for_first(cancel_one, run_id) == "cancelled"
        assert retry_one(both.observer, run_id) == "retried"
        assert [found["status"] for found in tasks(both.observer, run_id)] == ["completed", "queued"]
        assert state(both.observer, run_id, "a")["remaining_tasks"] == 1


@pytest.mark.parametrize("call", [cancel_one, retry_one])
def test_who_listens_is_told(both: Sessions, database_url: str, call: Any) -> None:
    run_id = running(both, "a") if call is cancel_one else failed(both, "a")
    with connect(database_url, autocommit=True) as listening:
        listening.execute("select pgflow.register_listener(%s, 'runs', 60)", (uuid4(),))
        listening.execute(sql.SQL("listen pgflow_runs"))
        call(both.observer, run_id)
        [told] = listening.notifies(timeout=20, stop_after=1)
    digest = value(both.observer, "select encode(substr(sha256(uuid_send(%s)), 1, 4), 'hex')", run_id)
    assert told.payload == digest
