"""`fail_task` for tasks that aren't started any more, and for steps and runs that don't go on."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from sql.engine import (
    UNKNOWN,
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
    register,
    rows,
    run,
    snapshot,
    start,
    state,
    step,
    value,
)


class TestReportsThatComeTooLate:
    def test_failing_a_completed_task_changes_nothing(self, connection: Connection) -> None:
        define(connection, "a*")
        run_id = start(connection, [1, 2])
        begin(connection, run_id, "a")
        complete(connection, run_id, "a", "done")
        assert changed_by(connection, lambda: fail(connection, run_id, "a")) == []

    def test_failing_a_failed_task_changes_nothing(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id = start(connection)
        exhaust(connection, run_id, "a", "first")
        assert changed_by(connection, lambda: fail(connection, run_id, "a", "second")) == []

    @pytest.mark.parametrize("start_delay", [0, 3600])
    def test_failing_a_queued_task_changes_nothing(self, connection: Connection, start_delay: int) -> None:
        define(connection, step("a", start_delay=start_delay))
        run_id = start(connection)
        assert changed_by(connection, lambda: fail(connection, run_id, "a")) == []

    def test_failing_a_task_that_does_not_exist_gives_no_row(self, connection: Connection) -> None:
        define(connection, "a")
        run_id = start(connection)
        for address in ((UNKNOWN, "a", 0), (run_id, "z", 0), (run_id, "a", 7)):
            assert rows(connection, "select * from pgflow.fail_task(%s, %s, %s, 'boom')", *address) == []

    @pytest.mark.feature("A5.21")
    def test_a_started_task_of_a_failed_run_fails_without_a_retry(self, connection: Connection) -> None:
        run_id = fail_beside_a_started_task(connection)
        late = fail(connection, run_id, "b", "late")
        assert (late["status"], late["error_message"], late["attempts_count"]) == ("failed", "late", 1)

    def test_the_step_of_that_task_and_the_run_stay_as_they_are(self, connection: Connection) -> None:
        run_id = fail_beside_a_started_task(connection)
        before = (state(connection, run_id, "b"), run(connection, run_id))
        fail(connection, run_id, "b", "late")
        assert (state(connection, run_id, "b"), run(connection, run_id)) == before

    def test_a_late_failure_on_a_failed_run_sends_no_event(self, recorded: Connection) -> None:
        run_id = fail_beside_a_started_task(recorded)
        forget_events(recorded)
        fail(recorded, run_id, "b", "late")
        assert event_names(recorded) == []

    def test_a_second_late_failure_keeps_the_first_error(self, connection: Connection) -> None:
        run_id = fail_beside_a_started_task(connection)
        fail(connection, run_id, "b", "late")
        assert fail(connection, run_id, "b", "later")["error_message"] == "late"

    def test_a_queued_task_of_a_failed_run_keeps_its_row(self, connection: Connection) -> None:
        define(connection, "a", "b", max_attempts=1)
        run_id = start(connection)
        exhaust(connection, run_id, "a")
        assert changed_by(connection, lambda: fail(connection, run_id, "b")) == []

    def test_a_replayed_failure_after_a_skip_changes_nothing(self, recorded: Connection) -> None:
        define(recorded, step("a", when_exhausted="skip", max_attempts=1), "other", "b < a other")
        run_id = start(recorded)
        exhaust(recorded, run_id, "a")
        forget_events(recorded)
        assert changed_by(recorded, lambda: fail(recorded, run_id, "a", "again")) == []
        assert event_names(recorded) == []

    def test_a_late_failure_of_a_sibling_after_a_skip_changes_nothing(self, recorded: Connection) -> None:
        define(recorded, step("a*", when_exhausted="skip"), "b < a", max_attempts=1)
        run_id = start(recorded, [1, 2, 3])
        begin(recorded, run_id, "a")
        fail(recorded, run_id, "a", index=1)
        forget_events(recorded)
        assert changed_by(recorded, lambda: fail(recorded, run_id, "a", "late", index=2)) == []
        assert event_names(recorded) == []

    @pytest.mark.breaks_invariants
    def test_a_late_failure_archives_a_message_that_is_still_there(self, connection: Connection) -> None:
        define(connection, "a", "b")
        run_id = start(connection)
        connection.execute(
            "update pgflow.step_states set status = 'skipped', skip_reason = 'preexisting_skip', skipped_at = now(), "
            "remaining_tasks = null where step_slug = 'a'"
        )
        fail(connection, run_id, "a", "late")
        assert (announced(live(connection)), announced(archived(connection))) == ([("b", 0)], [("a", 0)])

    @pytest.mark.breaks_invariants
    def test_a_task_without_a_message_can_fail(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id = start(connection)
        begin(connection, run_id, "a")
        connection.execute("update pgflow.step_tasks set message_id = null")
        assert fail(connection, run_id, "a")["status"] == "failed"
        assert run(connection, run_id)["status"] == "failed"

    def test_the_row_of_a_task_that_was_started_in_the_same_statement_is_returned(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        start(connection)
        query = """
            with t as (select * from pgflow.start_tasks('flow', %s, %s))
            select (pgflow.fail_task(t.run_id, t.step_slug, t.task_index, 'boom')).status from t
        """
        assert value(connection, query, read(connection), register(connection)) == "failed"


def fail_beside_a_started_task(connection: Connection) -> UUID:
    """Start steps a and b with three attempts for b, start the task of b and fail the run by a."""
    define(connection, step("a", max_attempts=1), step("b", max_attempts=3))
    run_id = start(connection)
    begin(connection, run_id, "b")
    exhaust(connection, run_id, "a")
    return run_id


def changed_by(connection: Connection, call: Callable[[], object]) -> list[str]:
    """The tables of which a call changes rows."""
    before = snapshot(connection)
    call()
    after = snapshot(connection)
    return [table for table, found in after.items() if found != before[table]]
