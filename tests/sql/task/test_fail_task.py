"""`fail_task` when no attempt is left and the step says that this fails the run. Retries are in `test_retry.py`."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    Connection,
    announced,
    archived,
    begin,
    define,
    events,
    exhaust,
    fail,
    forget_events,
    live,
    register,
    run,
    start,
    start_tasks,
    state,
    statuses,
    step,
    task,
    tasks,
)


class TestExhaustionThatFailsTheRun:
    def test_the_task_is_failed_with_its_error(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        returned = exhaust(connection, start(connection), "a", "no paper")
        assert (returned["status"], returned["error_message"]) == ("failed", "no paper")

    def test_failed_at_is_set_and_started_at_is_kept_on_the_task(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        returned = exhaust(connection, start(connection), "a")
        assert (returned["failed_at"], returned["completed_at"]) == (returned["started_at"], None)

    def test_the_step_is_failed_with_the_error_of_the_task(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id = start(connection)
        exhaust(connection, run_id, "a", "no paper")
        failed = state(connection, run_id, "a")
        assert (failed["status"], failed["error_message"], failed["completed_at"]) == ("failed", "no paper", None)

    def test_the_step_keeps_its_remaining_tasks(self, connection: Connection) -> None:
        define(connection, "a*", max_attempts=1)
        run_id = start(connection, [1, 2, 3])
        exhaust(connection, run_id, "a")
        assert state(connection, run_id, "a")["remaining_tasks"] == 3

    @pytest.mark.feature("A5.21")
    def test_the_run_is_failed_and_has_no_output(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id = start(connection)
        exhaust(connection, run_id, "a")
        failed = run(connection, run_id)
        assert (failed["status"], failed["output"], failed["completed_at"]) == ("failed", None, None)

    def test_the_run_keeps_its_remaining_steps(self, connection: Connection) -> None:
        define(connection, "a", "b < a", max_attempts=1)
        run_id = start(connection)
        exhaust(connection, run_id, "a")
        assert run(connection, run_id)["remaining_steps"] == 2

    def test_task_step_and_run_fail_at_the_same_time(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id = start(connection)
        times = {exhaust(connection, run_id, "a")["failed_at"]}
        times |= {state(connection, run_id, "a")["failed_at"], run(connection, run_id)["failed_at"]}
        assert len(times) == 1

    def test_children_stay_created_without_an_error(self, connection: Connection) -> None:
        define(connection, "a", "b < a", max_attempts=1)
        run_id = start(connection)
        exhaust(connection, run_id, "a")
        child = state(connection, run_id, "b")
        assert (child["status"], child["error_message"], child["remaining_deps"]) == ("created", None, 1)

    def test_sibling_steps_stay_started(self, connection: Connection) -> None:
        define(connection, "a", "b", max_attempts=1)
        run_id = start(connection)
        exhaust(connection, run_id, "a")
        assert statuses(connection, run_id) == {"a": "failed", "b": "started"}

    @pytest.mark.feature("A5.21")
    def test_no_message_of_the_run_stays_in_the_queue(self, connection: Connection) -> None:
        define(connection, "a", "b", "c*", max_attempts=1)
        run_id = start(connection, [1, 2])
        begin(connection, run_id, "b")
        exhaust(connection, run_id, "a")
        assert announced(live(connection)) == []
        assert announced(archived(connection)) == [("a", 0), ("b", 0), ("c", 0), ("c", 1)]

    def test_messages_of_other_runs_stay_in_the_queue(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id, other = start(connection), start(connection)
        exhaust(connection, run_id, "a")
        assert [found["message"]["run_id"] for found in live(connection)] == [str(other)]

    def test_other_tasks_of_a_map_stay_queued_while_all_messages_are_archived(self, connection: Connection) -> None:
        define(connection, "a*", max_attempts=1)
        run_id = start(connection, [1, 2, 3, 4, 5])
        start_task(connection, run_id, 2)
        fail(connection, run_id, "a", index=2)
        assert [found["status"] for found in tasks(connection, run_id)] == ["queued"] * 2 + ["failed"] + ["queued"] * 2
        assert (len(live(connection)), len(archived(connection))) == (0, 5)

    def test_the_step_fails_before_the_run_and_both_events_carry_the_error(self, recorded: Connection) -> None:
        define(recorded, "a", max_attempts=1)
        run_id = start(recorded)
        forget_events(recorded)
        exhaust(recorded, run_id, "a", "no paper")
        sent = [(found["event"], found["payload"]["error_message"]) for found in events(recorded)]
        assert sent == [("step:a:failed", "no paper"), ("run:failed", "no paper")]

    @pytest.mark.parametrize("max_attempts", [0, 1])
    def test_with_this_many_attempts_the_first_failure_is_final(
        self, connection: Connection, max_attempts: int
    ) -> None:
        define(connection, "a", max_attempts=max_attempts)
        run_id = start(connection)
        begin(connection, run_id, "a")
        assert fail(connection, run_id, "a")["status"] == "failed"

    def test_the_attempts_of_the_step_count_before_those_of_the_flow(self, connection: Connection) -> None:
        define(connection, step("a", max_attempts=1), max_attempts=5)
        run_id = start(connection)
        begin(connection, run_id, "a")
        assert fail(connection, run_id, "a")["status"] == "failed"

    def test_an_error_may_be_null(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id = start(connection)
        begin(connection, run_id, "a")
        returned = fail(connection, run_id, "a", None)
        assert (returned["status"], returned["error_message"]) == ("failed", None)


def start_task(connection: Connection, run_id: UUID, index: int) -> None:
    """Start one task of step a."""
    start_tasks(connection, [task(connection, run_id, "a", index)["message_id"]], worker=register(connection))
