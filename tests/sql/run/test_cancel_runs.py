"""`cancel_runs` fails runs from outside: nothing more of them is started, and nothing counts that is reported."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from sql.control import cancel, cancel_one
from sql.engine import (
    Connection,
    announced,
    archived,
    begin,
    complete,
    complete_batch,
    define,
    event_names,
    events,
    exhaust,
    fail,
    fail_batch,
    fetch,
    finish,
    live,
    refused,
    release,
    row,
    rows,
    run,
    set_clock,
    snapshot,
    start,
    state,
    states,
    statuses,
    task,
    value,
)


def cancellations(connection: Connection) -> list[tuple[UUID, str | None]]:
    found = rows(connection, "select run_id, reason from pgflow.run_cancellations order by run_id")
    return [(each["run_id"], each["reason"]) for each in found]


class TestARunThatGoesOn:
    def test_it_is_failed_for_other_clients_and_cancelled_in_a_table_of_its_own(self, connection: Connection) -> None:
        define(connection, "a", "b < a")
        run_id = start(connection)
        assert cancel_one(connection, run_id, "not needed any more") == "cancelled"
        cancelled = run(connection, run_id)
        assert (cancelled["status"], cancelled["remaining_steps"]) == ("failed", 2)
        kept = row(connection, "select * from pgflow.run_cancellations")
        assert (kept["run_id"], kept["reason"]) == (run_id, "not needed any more")
        assert kept["cancelled_at"] == cancelled["failed_at"]

    def test_its_steps_and_tasks_stay_as_they_are(self, connection: Connection) -> None:
        define(connection, "a", "b", "c < b")
        run_id = start(connection)
        finish(connection, run_id, "a", 1)
        begin(connection, run_id, "b")
        before = states(connection, run_id), task(connection, run_id, "b")
        cancel(connection, run_id)
        assert (states(connection, run_id), task(connection, run_id, "b")) == before
        assert statuses(connection, run_id) == {"a": "completed", "b": "started", "c": "created"}

    def test_its_messages_leave_the_queue(self, connection: Connection) -> None:
        define(connection, "a*", "b")
        other = start(connection, [1])
        run_id = start(connection, [1, 2])
        begin(connection, run_id, "a")
        cancel(connection, run_id)
        assert {found["message"]["run_id"] for found in live(connection)} == {str(other)}
        assert sorted(announced(archived(connection))) == [("a", 0), ("a", 1), ("b", 0)]

    def test_the_event_says_cancelled_and_why(self, recorded: Connection) -> None:
        define(recorded, "a")
        run_id = start(recorded)
        cancel(recorded, run_id, reason="wrong customer")
        sent = events(recorded)[-1]
        assert (sent["event"], sent["topic"]) == ("run:failed", f"pgflow:run:{run_id}")
        assert sent["payload"]["error_message"] == "Run cancelled: wrong customer"
        assert (sent["payload"]["status"], sent["payload"]["flow_slug"]) == ("failed", "flow")
        assert sent["payload"]["failed_at"] is not None

    def test_no_step_fails(self, recorded: Connection) -> None:
        define(recorded, "a")
        cancel(recorded, start(recorded))
        assert event_names(recorded) == ["run:started", "step:a:started", "run:failed"]

    def test_an_older_transaction_ends_it_when_it_began(self, connection: Connection) -> None:
        define(connection, "a")
        run_id = start(connection)
        set_clock(connection, "2000-01-01")
        assert cancel_one(connection, run_id) == "cancelled"
        cancelled = run(connection, run_id)
        assert cancelled["failed_at"] == cancelled["started_at"]


class TestAfterwards:
    @pytest.fixture
    def run_id(self, recorded: Connection) -> UUID:
        """A run with a started task and one that waits, cancelled."""
        define(recorded, "a", "b")
        run_id = start(recorded)
        begin(recorded, run_id, "a")
        cancel(recorded, run_id, reason="enough")
        return run_id

    def test_nothing_is_fetched(self, recorded: Connection, run_id: UUID) -> None:
        assert fetch(recorded) == []

    def test_a_task_is_not_started_by_its_old_message(self, recorded: Connection, run_id: UUID) -> None:
        begin(recorded, run_id, "b")
        assert task(recorded, run_id, "b")["status"] == "queued"

    def test_a_completion_changes_nothing(self, recorded: Connection, run_id: UUID) -> None:
        before = snapshot(recorded)
        assert complete_batch(recorded, (run_id, "a", 0, 1, 1)) == []
        complete(recorded, run_id, "a", 1)
        assert snapshot(recorded) == before

    def test_a_failure_is_not_retried(self, recorded: Connection, run_id: UUID) -> None:
        fail(recorded, run_id, "a")
        assert (task(recorded, run_id, "a")["status"], live(recorded)) == ("failed", [])
        assert event_names(recorded)[-1] == "run:failed"

    def test_what_is_given_back_stays_away(self, recorded: Connection, run_id: UUID) -> None:
        assert release(recorded, (run_id, "a", 0, 0, 1)) == []
        assert live(recorded) == []

    def test_nobody_holds_its_tasks(self, recorded: Connection, run_id: UUID) -> None:
        query = "select pgflow.extend_leases(array[%s]::uuid[], array['a'], array[0], array[1])"
        assert value(recorded, query, run_id) == []

    def test_nothing_stalls(self, recorded: Connection, run_id: UUID) -> None:
        set_clock(recorded, value(recorded, "select (now() + interval '1 hour')::text"))
        assert value(recorded, "select pgflow.requeue_stalled_tasks()") == 0

    def test_the_run_tells_so(self, recorded: Connection, run_id: UUID) -> None:
        told = value(recorded, "select pgflow.get_run_with_states(%s) -> 'run'", run_id)
        assert (told["cancelled_at"], told["cancel_reason"]) == (told["failed_at"], "enough")

    def test_it_is_pruned_with_its_cancellation(self, recorded: Connection, run_id: UUID) -> None:
        set_clock(recorded, value(recorded, "select (now() + interval '1 hour')::text"))
        recorded.execute("select pgflow.prune_data_older_than(interval '1 minute')")
        assert cancellations(recorded) == []

    def test_its_cancellation_is_deleted_with_the_flow(self, recorded: Connection, run_id: UUID) -> None:
        recorded.execute("select pgflow.delete_flow_and_data('flow')")
        assert cancellations(recorded) == []

    def test_deleting_the_rows_of_the_contract_by_hand_deletes_it(self, recorded: Connection, run_id: UUID) -> None:
        for table in ("step_tasks", "step_states", "runs"):
            recorded.execute(f"delete from pgflow.{table}")
        assert cancellations(recorded) == []


class TestOutcomes:
    def test_the_second_cancellation_changes_nothing(self, recorded: Connection) -> None:
        define(recorded, "a")
        run_id = start(recorded)
        cancel(recorded, run_id, reason="first")
        before = snapshot(recorded), event_names(recorded)
        assert cancel_one(recorded, run_id, "second") == "already_cancelled"
        assert (snapshot(recorded), event_names(recorded)) == before
        assert cancellations(recorded) == [(run_id, "first")]

    def test_what_has_ended_by_itself_is_left_alone(self, recorded: Connection) -> None:
        define(recorded, "a", max_attempts=1)
        completed, failed = start(recorded), start(recorded)
        finish(recorded, completed, "a", 1)
        exhaust(recorded, failed, "a")
        before = snapshot(recorded)
        assert cancel(recorded, completed, failed) == {completed: "ended", failed: "ended"}
        assert (snapshot(recorded), cancellations(recorded)) == (before, [])

    def test_each_of_many_has_its_own(self, connection: Connection) -> None:
        define(connection, "a")
        define(connection, "x", flow="other")
        one, two, unknown = start(connection), start(connection, flow="other"), uuid4()
        completed = start(connection)
        finish(connection, completed, "a")
        cancel(connection, two)
        assert cancel(connection, one, unknown, two, completed, one, None) == {
            one: "cancelled",
            two: "already_cancelled",
            completed: "ended",
            unknown: "not_found",
        }

    def test_nothing_is_no_error(self, connection: Connection) -> None:
        assert cancel(connection) == {}
        assert rows(connection, "select * from pgflow.cancel_runs(null)") == []

    def test_who_cancels_learns_what_can_be_told_of_the_end(self, connection: Connection) -> None:
        define(connection, "a")
        run_id = start(connection)
        set_clock(connection, value(connection, "select (now() + interval '7 seconds')::text"))
        found = row(connection, "select * from pgflow.cancel_runs(array[%s]::uuid[], 'late')", run_id)
        assert (found["flow_slug"], found["status"], found["seconds"]) == ("flow", "failed", 7)
        assert found["error_message"] == "Run cancelled: late"

    @pytest.mark.parametrize("reason", [None, "", "  "])
    def test_a_blank_reason_is_none(self, recorded: Connection, reason: str | None) -> None:
        define(recorded, "a")
        run_id = start(recorded)
        cancel(recorded, run_id, reason=reason)
        assert cancellations(recorded) == [(run_id, None)]
        assert events(recorded)[-1]["payload"]["error_message"] == "Run cancelled"

    def test_a_reason_has_at_most_10_000_characters(self, connection: Connection) -> None:
        define(connection, "a")
        run_id = start(connection)
        with refused(connection, "23514", "run_cancellations_reason_check"):
            cancel(connection, run_id, reason="x" * 10_001)
        assert cancel_one(connection, run_id, "ü" * 10_000) == "cancelled"

    def test_a_failure_of_its_own_is_no_cancellation(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id = start(connection)
        begin(connection, run_id, "a")
        assert fail_batch(connection, (run_id, "a", 0, "boom", 1)) == [1]
        told = value(connection, "select pgflow.get_run_with_states(%s) -> 'run'", run_id)
        assert "cancelled_at" not in told
        assert state(connection, run_id, "a")["error_message"] == "boom"
