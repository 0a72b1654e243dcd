"""What happens when two sessions work on the same run, the same task or the same definition at the same time."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    Connection,
    add_step,
    announced,
    as_json,
    begin,
    complete,
    create_flow,
    define,
    event_names,
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
    start_run,
    start_tasks,
    state,
    states,
    step,
    task,
    tasks,
    value,
)
from sql.sessions import DEADLINE_SECONDS, Sessions, wait_until_blocked


def requeue(connection: Connection) -> int:
    """Recover stalled tasks as if five minutes had gone by."""
    set_clock(connection, value(connection, "select (now() + interval '5 minutes')::text"))
    count = value(connection, "select pgflow.requeue_stalled_tasks()")
    assert isinstance(count, int)
    return count


def begin_run(observer: Connection, *step_slugs: str, run_input: object = None) -> UUID:
    """Start a run and the tasks of some of its steps."""
    run_id = start(observer, run_input or {})
    for step_slug in step_slugs:
        begin(observer, run_id, step_slug)
    return run_id


class TestStartingTasks:
    def test_a_message_in_two_hands_starts_one_task_for_one_of_them(self, both: Sessions) -> None:
        define(both.observer, "a")
        run_id = start(both.observer)
        register(both.observer)
        message_ids = read(both.observer)
        first = start_tasks(both.first.connection, message_ids)
        assert both.second_does_not_wait(start_tasks, message_ids) == []
        assert [found["msg_id"] for found in first] == message_ids
        assert task(both.observer, run_id, "a")["attempts_count"] == 1

    def test_overlapping_messages_are_shared_out(self, both: Sessions) -> None:
        define(both.observer, "a*")
        start(both.observer, [1, 2, 3])
        register(both.observer)
        message_ids = read(both.observer)
        start_tasks(both.first.connection, message_ids[:2])
        second = both.second_does_not_wait(start_tasks, message_ids)
        assert [found["msg_id"] for found in second] == message_ids[2:]

    def test_starting_does_not_wait_for_the_lock_of_a_run(self, both: Sessions) -> None:
        define(both.observer, "a", "b")
        run_id = begin_run(both.observer, "a")
        complete(both.first.connection, run_id, "a")
        assert [found["step_slug"] for found in both.second_does_not_wait(fetch)] == ["b"]

    def test_a_task_of_a_run_that_is_being_failed_is_left_to_those_who_fail_it(self, both: Sessions) -> None:
        define(both.observer, step("a", max_attempts=1), "b")
        run_id = begin_run(both.observer, "a")
        [message_id] = read(both.first.connection)
        failing = both.second.in_background(fail, run_id, "a")
        wait_until_blocked(both.observer, both.second, both.first, failing)
        assert start_tasks(both.first.connection, [message_id], worker=register(both.first.connection)) == []
        both.first.connection.commit()
        failing.result(timeout=DEADLINE_SECONDS)
        both.second.connection.commit()
        assert (run(both.observer, run_id)["status"], live(both.observer)) == ("failed", [])

    def test_a_transaction_older_than_the_task_can_start_and_complete_it(self, both: Sessions) -> None:
        define(both.observer, "a", "b < a")
        worker = both.second.connection
        register(worker)
        run_id = start(both.observer)
        assert len(fetch(worker)) == 1
        assert complete(worker, run_id, "a", 1)["status"] == "completed"
        assert len(fetch(worker)) == 1
        complete(worker, run_id, "b", 2)
        worker.commit()
        completed = run(both.observer, run_id)
        assert (completed["output"], completed["completed_at"]) == ({"b": 2}, completed["started_at"])

    def test_a_transaction_older_than_the_task_can_fail_it(self, both: Sessions) -> None:
        define(both.observer, "a", max_attempts=1)
        worker = both.second.connection
        register(worker)
        run_id = start(both.observer)
        fetch(worker)
        assert fail(worker, run_id, "a")["status"] == "failed"
        worker.commit()
        assert run(both.observer, run_id)["status"] == "failed"


class TestReporting:
    def test_a_completion_that_waited_for_the_failure_of_its_run_changes_nothing(self, both: Sessions) -> None:
        run_id = self.fail_in_the_first_session(both)
        late = both.second_waits_for_first(complete, run_id, "b", "late")
        assert (late["status"], late["output"]) == ("started", None)
        assert state(both.observer, run_id, "b")["status"] == "started"
        assert event_names(both.observer)[-1] == "run:failed"

    def test_a_failure_that_waited_for_the_failure_of_its_run_is_not_retried(self, both: Sessions) -> None:
        run_id = self.fail_in_the_first_session(both)
        late = both.second_waits_for_first(fail, run_id, "b", "late")
        assert (late["status"], late["error_message"]) == ("failed", "late")

    def test_a_failure_that_waited_leaves_the_run_as_failed_as_it_was(self, both: Sessions) -> None:
        run_id = self.fail_in_the_first_session(both)
        failed_at = run(both.first.connection, run_id)["failed_at"]
        both.second_waits_for_first(fail, run_id, "b", "late")
        assert run(both.observer, run_id)["failed_at"] == failed_at
        assert event_names(both.observer).count("run:failed") == 1

    def test_the_last_two_tasks_of_a_map_complete_the_step_once(self, both: Sessions) -> None:
        record_events(both.observer)
        define(both.observer, "a*", "b < a")
        run_id = begin_run(both.observer, "a", run_input=[1, 2])
        complete(both.first.connection, run_id, "a", "x", 0)
        both.second_waits_for_first(complete, run_id, "a", "y", 1)
        completed = state(both.observer, run_id, "a")
        assert (completed["status"], completed["output"]) == ("completed", ["x", "y"])
        assert event_names(both.observer)[-2:] == ["step:a:completed", "step:b:started"]

    def test_two_parents_that_complete_at_once_start_their_child_once(self, both: Sessions) -> None:
        define(both.observer, "a", "b", "c < a b")
        run_id = begin_run(both.observer, "a", "b")
        complete(both.first.connection, run_id, "a", 1)
        both.second_waits_for_first(complete, run_id, "b", 2)
        assert announced(live(both.observer)) == [("c", 0)]

    def test_of_two_completions_of_one_task_the_first_counts(self, both: Sessions) -> None:
        define(both.observer, "a")
        run_id = begin_run(both.observer, "a")
        complete(both.first.connection, run_id, "a", "first")
        assert both.second_waits_for_first(complete, run_id, "a", "second")["output"] == "first"

    def test_a_completion_that_waited_for_a_rollback_counts(self, both: Sessions) -> None:
        define(both.observer, "a")
        run_id = begin_run(both.observer, "a")
        complete(both.first.connection, run_id, "a", "first")
        call = both.second.in_background(complete, run_id, "a", "second")
        wait_until_blocked(both.observer, both.second, both.first, call)
        both.first.connection.rollback()
        assert call.result(timeout=DEADLINE_SECONDS)["output"] == "second"
        both.second.connection.commit()

    def test_different_runs_do_not_wait_for_each_other(self, both: Sessions) -> None:
        define(both.observer, "a")
        one, other = begin_run(both.observer, "a"), begin_run(both.observer, "a")
        complete(both.first.connection, one, "a")
        assert both.second_does_not_wait(complete, other, "a")["status"] == "completed"

    def fail_in_the_first_session(self, both: Sessions) -> UUID:
        """Start a and b, with attempts left for b only, and fail a, uncommitted."""
        record_events(both.observer)
        define(both.observer, step("a", max_attempts=1), step("b", max_attempts=3))
        run_id = begin_run(both.observer, "a", "b")
        fail(both.first.connection, run_id, "a")
        return run_id


class TestRecovery:
    def test_a_completion_that_waited_for_recovery_is_ignored(self, both: Sessions) -> None:
        define(both.observer, "a")
        run_id = begin_run(both.observer, "a")
        assert requeue(both.first.connection) == 1
        late = both.second_waits_for_first(complete, run_id, "a", "late")
        assert (late["status"], late["output"]) == ("queued", None)
        assert announced(live(both.observer)) == [("a", 0)]

    def test_a_failure_that_waited_for_recovery_is_ignored(self, both: Sessions) -> None:
        define(both.observer, "a", max_attempts=1)
        run_id = begin_run(both.observer, "a")
        requeue(both.first.connection)
        assert both.second_waits_for_first(fail, run_id, "a", "late")["status"] == "queued"
        assert run(both.observer, run_id)["status"] == "started"

    def test_a_type_violation_that_waited_for_recovery_is_ignored(self, both: Sessions) -> None:
        define(both.observer, "a", "b* < a")
        run_id = begin_run(both.observer, "a")
        requeue(both.first.connection)
        assert both.second_waits_for_first(complete, run_id, "a", "no array")["status"] == "queued"
        assert run(both.observer, run_id)["status"] == "started"

    def test_recovery_passes_over_a_task_that_is_being_completed(self, both: Sessions) -> None:
        define(both.observer, "a")
        run_id = begin_run(both.observer, "a")
        complete(both.first.connection, run_id, "a", "in time")
        assert both.second_does_not_wait(requeue) == 0
        assert run(both.observer, run_id)["output"] == {"a": "in time"}

    def test_recovery_passes_over_locked_tasks_and_takes_the_others(self, both: Sessions) -> None:
        define(both.observer, "a*")
        run_id = begin_run(both.observer, "a", run_input=[1, 2, 3])
        both.first.connection.execute("select from pgflow.step_tasks where task_index = 1 for update")
        assert both.second_does_not_wait(requeue) == 2
        assert [found["status"] for found in tasks(both.observer, run_id)] == ["queued", "started", "queued"]

    def test_two_recoveries_at_once_requeue_a_task_once(self, both: Sessions) -> None:
        define(both.observer, "a")
        run_id = begin_run(both.observer, "a")
        requeue(both.first.connection)
        assert both.second_does_not_wait(requeue) == 0
        assert task(both.observer, run_id, "a")["requeued_count"] == 1


class TestDefinitions:
    SHAPE = as_json({"steps": [{"slug": "a"}, {"slug": "b", "dependencies": ["a"]}]})

    def test_two_sessions_can_create_the_same_flow(self, both: Sessions) -> None:
        create_flow(both.first.connection, max_attempts=7)
        assert both.second_waits_for_first(create_flow, max_attempts=8)["opt_max_attempts"] == 7

    def test_of_two_sessions_that_compile_a_flow_one_compiles_and_one_verifies(self, both: Sessions) -> None:
        query = "select pgflow.ensure_flow_compiled('flow', %s) ->> 'status'"
        assert value(both.first.connection, query, self.SHAPE) == "compiled"
        assert both.second_waits_for_first(value, query, self.SHAPE) == "verified"

    def test_two_sessions_can_add_steps_to_the_same_flow(self, both: Sessions) -> None:
        create_flow(both.observer)
        add_step(both.first.connection, "a")
        assert both.second_waits_for_first(add_step, "b")["step_index"] == 1

    def test_two_sessions_can_start_runs_of_the_same_flow(self, both: Sessions) -> None:
        define(both.observer, "a", "b")
        start(both.first.connection)
        assert both.second_does_not_wait(start_run)["status"] == "started"

    def test_flows_of_other_slugs_are_created_without_waiting(self, both: Sessions) -> None:
        create_flow(both.first.connection, "one")
        assert both.second_does_not_wait(create_flow, "other")["flow_slug"] == "other"

    def test_a_flow_that_is_being_deleted_starts_no_run(self, both: Sessions) -> None:
        define(both.observer, "a")
        begin_run(both.observer, "a")
        both.first.connection.execute("select pgflow.delete_flow_and_data('flow')")
        with pytest.raises(Exception, match="runs_flow_slug_fkey"):
            both.second_waits_for_first(start)
        both.second.connection.rollback()
        assert rows(both.observer, "select * from pgflow.flows") == []

    def test_a_run_that_is_being_started_is_deleted_with_its_flow(self, both: Sessions) -> None:
        define(both.observer, "a")
        run_id = start(both.first.connection)
        assert states(both.first.connection, run_id).keys() == {"a"}
        both.second_waits_for_first(value, "select pgflow.delete_flow_and_data('flow')")
        assert rows(both.observer, "select * from pgflow.runs") == []
