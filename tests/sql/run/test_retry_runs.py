"""`retry_runs` lets failed and cancelled runs go on, from where they were."""

from __future__ import annotations

from uuid import uuid4

import pytest

from sql.control import cancel, counters, failed_run, retry, retry_one
from sql.engine import (
    Connection,
    announced,
    begin,
    complete,
    complete_batch,
    define,
    event_names,
    exhaust,
    fail,
    fail_batch,
    fetch,
    finish,
    forget_events,
    live,
    release,
    rows,
    run,
    set_clock,
    snapshot,
    start,
    state,
    states,
    statuses,
    step,
    task,
    tasks,
    value,
)


class TestAFailedRun:
    def test_it_goes_on_and_completes(self, connection: Connection) -> None:
        run_id = failed_run(connection, "a", "b < a")
        assert retry_one(connection, run_id) == "retried"
        reopened = run(connection, run_id)
        assert (reopened["status"], reopened["failed_at"], reopened["remaining_steps"]) == ("started", None, 2)
        finish(connection, run_id, "a", 1)
        finish(connection, run_id, "b", 2)
        assert run(connection, run_id)["output"] == {"b": 2}

    def test_the_step_that_failed_is_started_and_its_task_has_a_new_message(self, connection: Connection) -> None:
        run_id = failed_run(connection, "a")
        old = task(connection, run_id, "a")["message_id"]
        retry(connection, run_id)
        reopened = state(connection, run_id, "a")
        assert (reopened["status"], reopened["failed_at"], reopened["error_message"]) == ("started", None, None)
        assert counters(connection, run_id, "a") == (0, 1, 1)
        waiting = task(connection, run_id, "a")
        assert (waiting["status"], waiting["started_at"], waiting["failed_at"]) == ("queued", None, None)
        assert waiting["error_message"] == "boom", "the last error is kept, as with every retry"
        assert [found["msg_id"] for found in live(connection)] == [waiting["message_id"]]
        assert waiting["message_id"] != old
        assert live(connection)[0]["seconds"] <= 0
        assert live(connection)[0]["message"] == {
            "flow_slug": "flow", "run_id": str(run_id), "step_slug": "a", "task_index": 0
        }  # fmt: skip

    def test_outputs_are_kept(self, connection: Connection) -> None:
        define(connection, "a", "b < a", "c < b", max_attempts=1)
        run_id = start(connection)
        finish(connection, run_id, "a", {"kept": True})
        exhaust(connection, run_id, "b")
        before = state(connection, run_id, "a"), task(connection, run_id, "a")
        retry(connection, run_id)
        assert (state(connection, run_id, "a"), task(connection, run_id, "a")) == before
        assert fetch(connection)[0]["input"] == {"a": {"kept": True}}

    def test_of_a_map_only_what_has_not_completed_runs_again(self, connection: Connection) -> None:
        define(connection, "a*", max_attempts=1)
        run_id = start(connection, [0, 1, 2, 3])
        begin(connection, run_id, "a")
        complete(connection, run_id, "a", "zero", 0)
        complete(connection, run_id, "a", "three", 3)
        fail(connection, run_id, "a", index=1)
        retry(connection, run_id)
        assert counters(connection, run_id, "a") == (0, 2, 4)
        assert announced(live(connection)) == [("a", 1), ("a", 2)]
        begin(connection, run_id, "a")
        complete(connection, run_id, "a", "one", 1)
        complete(connection, run_id, "a", "two", 2)
        assert run(connection, run_id)["output"] == {"a": ["zero", "one", "two", "three"]}

    def test_what_was_left_beside_the_failure_goes_on(self, connection: Connection) -> None:
        run_id = failed_run(connection, "a", "b", "c < b")
        retry(connection, run_id)
        assert statuses(connection, run_id) == {"a": "started", "b": "started", "c": "created"}
        assert announced(live(connection)) == [("a", 0), ("b", 0)]
        for slug in "abc":
            finish(connection, run_id, slug)
        assert run(connection, run_id)["status"] == "completed"

    def test_a_type_violation_can_be_put_right(self, connection: Connection) -> None:
        define(connection, "a", "b* < a")
        run_id = start(connection)
        finish(connection, run_id, "a", "no array")
        assert task(connection, run_id, "a")["output"] == "no array"
        retry(connection, run_id)
        assert task(connection, run_id, "a")["output"] is None
        assert counters(connection, run_id, "b") == (1, None, None)
        finish(connection, run_id, "a", [1, 2])
        assert announced(live(connection)) == [("b", 0), ("b", 1)]

    def test_a_condition_is_tested_again(self, recorded: Connection) -> None:
        define(recorded, step("a", required_input_pattern={"is": "there"}, when_unmet="fail"), "b")
        run_id = start(recorded, {})
        forget_events(recorded)
        assert retry_one(recorded, run_id) == "retried"
        assert (run(recorded, run_id)["status"], state(recorded, run_id, "a")["status"]) == ("failed", "failed")
        assert event_names(recorded) == ["run:started", "step:a:failed", "run:failed"]
        assert live(recorded) == []

    def test_who_retries_learns_that_the_run_has_failed_again(self, connection: Connection) -> None:
        define(connection, step("a", required_input_pattern={"is": "there"}, when_unmet="fail"))
        run_id = start(connection, {})
        [found] = rows(connection, "select * from pgflow.retry_runs(array[%s]::uuid[])", run_id)
        assert (found["flow_slug"], found["status"], found["error_message"]) == ("flow", "failed", "Condition not met")

    def test_a_map_without_tasks_behind_the_failure_completes(self, connection: Connection) -> None:
        run_id = failed_run(connection, "a", "b* < a", "c* < b")
        retry(connection, run_id)
        finish(connection, run_id, "a", [])
        assert run(connection, run_id)["output"] == {"c": []}

    def test_the_events_tell_that_it_goes_on(self, recorded: Connection) -> None:
        define(recorded, "a", "b", "c < b", max_attempts=1)
        run_id = start(recorded)
        finish(recorded, run_id, "b")
        exhaust(recorded, run_id, "a")
        forget_events(recorded)
        retry(recorded, run_id)
        assert event_names(recorded) == ["run:started", "step:a:started", "step:c:started"]

    def test_it_can_be_retried_as_often_as_it_fails(self, connection: Connection) -> None:
        run_id = failed_run(connection, "a")
        for attempts in (2, 3, 4):
            assert retry_one(connection, run_id) == "retried"
            exhaust(connection, run_id, "a")
            assert run(connection, run_id)["status"] == "failed"
            assert task(connection, run_id, "a")["attempts_count"] == attempts
        retry(connection, run_id)
        finish(connection, run_id, "a", 1)
        assert run(connection, run_id)["output"] == {"a": 1}

    def test_messages_that_were_left_in_the_queue_are_replaced(self, connection: Connection) -> None:
        define(connection, "a", "b")
        run_id = start(connection)
        old = [found["msg_id"] for found in live(connection)]
        connection.execute("update pgflow.runs set status = 'failed', failed_at = now()")
        retry(connection, run_id)
        assert announced(live(connection)) == [("a", 0), ("b", 0)]
        assert not {found["msg_id"] for found in live(connection)} & {*old}

    def test_a_start_delay_is_over(self, connection: Connection) -> None:
        run_id = failed_run(connection, step("a", start_delay=100), step("b", start_delay=100))
        retry(connection, run_id)
        assert [found["seconds"] <= 0 for found in live(connection)] == [True, True]

    def test_what_recovery_has_given_up_can_stall_three_times_again(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id = start(connection)
        begin(connection, run_id, "a")
        connection.execute("update pgflow.step_tasks set requeued_count = 3, permanently_stalled_at = now()")
        connection.execute("select pgmq.archive('flow', message_id) from pgflow.step_tasks")
        connection.execute("select pgflow.fail_stalled_tasks()")
        retry(connection, run_id)
        reopened = task(connection, run_id, "a")
        assert (reopened["requeued_count"], reopened["permanently_stalled_at"]) == (0, None)
        assert len(fetch(connection)) == 1


class TestAttempts:
    def test_all_of_them_are_there_again(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=2, base_delay=3)
        run_id = start(connection)
        exhaust(connection, run_id, "a")
        retry(connection, run_id)
        [third] = fetch(connection)
        assert (third["attempt"], third["max_attempts"], third["attempts_before_retry"]) == (3, 4, 2)
        fail(connection, run_id, "a")
        assert task(connection, run_id, "a")["status"] == "queued"
        assert round(live(connection)[0]["seconds"]) == 6, "backoff begins anew"
        exhaust(connection, run_id, "a")
        assert task(connection, run_id, "a")["attempts_count"] == 4

    @pytest.mark.parametrize("restarted", [False, True])
    def test_a_report_of_an_attempt_before_the_retry_changes_nothing(
        self, connection: Connection, restarted: bool
    ) -> None:
        define(connection, "a", "b", max_attempts=2)
        run_id = start(connection)
        begin(connection, run_id, "a")
        cancel(connection, run_id)
        retry(connection, run_id)
        if restarted:
            fetch(connection)
        before = snapshot(connection)
        assert complete_batch(connection, (run_id, "a", 0, "late", 1)) == []
        assert fail_batch(connection, (run_id, "a", 0, "late", 1)) == []
        assert release(connection, (run_id, "a", 0, 0, 1)) == []
        assert snapshot(connection) == before

    def test_an_attempt_given_back_after_the_retry_is_given_again_but_none_from_before(
        self, connection: Connection
    ) -> None:
        run_id = failed_run(connection, "a")
        retry(connection, run_id)
        for _ in range(2):
            assert [found["attempt"] for found in fetch(connection)] == [2]
            release(connection, (run_id, "a", 0, 0, 2))
        assert task(connection, run_id, "a")["attempts_count"] == 1

    def test_a_task_that_was_never_started_has_its_first_attempt_before_it(self, connection: Connection) -> None:
        run_id = failed_run(connection, "a", "b")
        retry(connection, run_id)
        assert {found["step_slug"]: found["attempt"] for found in fetch(connection)} == {"a": 2, "b": 1}


class TestACancelledRun:
    def test_it_goes_on_in_the_middle(self, connection: Connection) -> None:
        define(connection, "a*", "b < a")
        run_id = start(connection, [1, 2, 3])
        begin(connection, run_id, "a")
        complete(connection, run_id, "a", "first", 0)
        cancel(connection, run_id, reason="paused")
        assert retry_one(connection, run_id) == "retried"
        assert rows(connection, "select * from pgflow.run_cancellations") == []
        assert announced(live(connection)) == [("a", 1), ("a", 2)]
        begin(connection, run_id, "a")
        complete(connection, run_id, "a", "second", 1)
        complete(connection, run_id, "a", "third", 2)
        finish(connection, run_id, "b", "all")
        assert run(connection, run_id)["output"] == {"b": "all"}

    def test_it_tells_no_more_that_it_was_cancelled(self, connection: Connection) -> None:
        define(connection, "a", max_attempts=1)
        run_id = start(connection)
        cancel(connection, run_id)
        retry(connection, run_id)
        exhaust(connection, run_id, "a")
        told = value(connection, "select pgflow.get_run_with_states(%s) -> 'run'", run_id)
        assert (told["status"], "cancelled_at" in told) == ("failed", False)

    def test_it_can_be_cancelled_again(self, connection: Connection) -> None:
        define(connection, "a")
        run_id = start(connection)
        for _ in range(3):
            assert cancel(connection, run_id) == {run_id: "cancelled"}
            assert retry_one(connection, run_id) == "retried"
        assert announced(live(connection)) == [("a", 0)]

    def test_with_nothing_left_to_do_it_completes(self, connection: Connection) -> None:
        define(connection, "a")
        run_id = start(connection)
        connection.execute("select pgflow._cascade_force_skip_steps(%s, 'a', 'by hand')", (run_id,))
        cancel(connection, run_id)
        [found] = rows(connection, "select * from pgflow.retry_runs(array[%s]::uuid[])", run_id)
        assert (found["outcome"], found["status"]) == ("retried", "completed")


class TestOutcomes:
    def test_the_second_retry_changes_nothing(self, recorded: Connection) -> None:
        run_id = failed_run(recorded, "a", "b")
        retry(recorded, run_id)
        before = snapshot(recorded), event_names(recorded)
        assert retry_one(recorded, run_id) == "running"
        assert (snapshot(recorded), event_names(recorded)) == before

    def test_each_of_many_has_its_own(self, connection: Connection) -> None:
        failed = failed_run(connection, "a")
        define(connection, "x", flow="other")
        running, completed, unknown = start(connection), start(connection), uuid4()
        cancelled = start(connection, flow="other")
        finish(connection, completed, "a")
        cancel(connection, cancelled)
        assert retry(connection, failed, running, cancelled, completed, unknown, failed, None) == {
            failed: "retried",
            running: "running",
            cancelled: "retried",
            completed: "completed",
            unknown: "not_found",
        }
        assert announced(live(connection, "other")) == [("x", 0)]

    def test_nothing_is_no_error(self, connection: Connection) -> None:
        assert retry(connection) == {}
        assert rows(connection, "select * from pgflow.retry_runs(null)") == []

    def test_a_run_of_a_flow_that_was_deleted_is_gone(self, connection: Connection) -> None:
        run_id = failed_run(connection, "a")
        connection.execute("select pgflow.delete_flow_and_data('flow')")
        assert retry_one(connection, run_id) == "not_found"

    def test_a_retry_at_an_earlier_time_is_after_the_start_all_the_same(self, connection: Connection) -> None:
        run_id = failed_run(connection, "a", "b < a")
        set_clock(connection, "2000-01-01")
        retry(connection, run_id)
        finish(connection, run_id, "a")
        finish(connection, run_id, "b")
        assert run(connection, run_id)["status"] == "completed"

    def test_a_step_that_was_added_to_the_flow_meanwhile_is_for_later_runs(self, connection: Connection) -> None:
        run_id = failed_run(connection, "a")
        connection.execute("select pgflow.add_step('flow', 'new', array['a'])")
        retry(connection, run_id)
        finish(connection, run_id, "a", 1)
        assert (run(connection, run_id)["status"], states(connection, run_id).keys()) == ("completed", {"a"})
        assert [found["status"] for found in tasks(connection, run_id)] == ["completed"]
