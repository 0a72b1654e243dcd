"""`fail_task` when no attempt is left and the step says that it is skipped, alone or with all behind it."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    Connection,
    Row,
    add_step,
    announced,
    archived,
    begin,
    define,
    event_names,
    events,
    exhaust,
    fail,
    finish,
    live,
    register,
    run,
    start,
    start_tasks,
    state,
    states,
    statuses,
    step,
    task,
    tasks,
)


class TestExhaustionThatSkipsTheStep:
    def test_the_step_is_skipped_and_keeps_the_error(self, connection: Connection) -> None:
        run_id = skip_first(connection, "b < a")
        skipped = state(connection, run_id, "a")
        assert (skipped["status"], skipped["skip_reason"]) == ("skipped", "handler_failed")
        assert (skipped["error_message"], skipped["remaining_tasks"]) == ("boom", None)

    def test_the_step_keeps_when_it_started(self, connection: Connection) -> None:
        skipped = state(connection, skip_first(connection, "b < a"), "a")
        assert skipped["started_at"] == skipped["skipped_at"]
        assert (skipped["failed_at"], skipped["completed_at"]) == (None, None)

    def test_the_task_is_failed(self, connection: Connection) -> None:
        assert task(connection, skip_first(connection, "b < a"), "a")["status"] == "failed"

    def test_the_run_goes_on_with_one_step_less(self, connection: Connection) -> None:
        skipped = run(connection, skip_first(connection, "b < a"))
        assert (skipped["status"], skipped["remaining_steps"]) == ("started", 1)

    def test_the_child_starts_without_the_skipped_parent_in_its_input(self, connection: Connection) -> None:
        run_id = skip_first(connection, "b < a")
        assert [found["input"] for found in begin(connection, run_id, "b")] == [{}]

    def test_the_only_step_skipped_completes_the_run_without_output(self, connection: Connection) -> None:
        completed = run(connection, skip_first(connection))
        assert (completed["status"], completed["output"], completed["remaining_steps"]) == ("completed", None, 0)

    def test_a_child_that_waits_for_another_parent_goes_on_waiting(self, connection: Connection) -> None:
        run_id = skip_first(connection, "other", "b < a other")
        child = state(connection, run_id, "b")
        assert (child["status"], child["remaining_deps"]) == ("created", 1)

    def test_two_children_start(self, connection: Connection) -> None:
        run_id = skip_first(connection, "b < a", "c < a")
        assert statuses(connection, run_id) == {"a": "skipped", "b": "started", "c": "started"}

    def test_a_map_behind_it_completes_with_an_empty_array(self, connection: Connection) -> None:
        run_id = skip_first(connection, "b* < a")
        child = state(connection, run_id, "b")
        assert (child["status"], child["output"], child["initial_tasks"]) == ("completed", [], 0)
        assert run(connection, run_id)["output"] == {"b": []}

    def test_a_single_step_behind_that_map_starts_with_the_empty_array(self, connection: Connection) -> None:
        run_id = skip_first(connection, "b* < a", "c < b")
        assert [found["input"] for found in begin(connection, run_id, "c")] == [{"b": []}]

    def test_a_child_with_an_unmet_condition_is_skipped_too(self, connection: Connection) -> None:
        run_id = skip_first(connection, step("b < a", required_input_pattern={"a": {}}, when_unmet="skip"))
        assert state(connection, run_id, "b")["skip_reason"] == "condition_unmet"
        assert run(connection, run_id)["status"] == "completed"

    def test_a_child_with_an_unmet_condition_can_fail_the_run(self, connection: Connection) -> None:
        run_id = skip_first(connection, step("b < a", required_input_pattern={"a": {}}, when_unmet="fail"))
        assert statuses(connection, run_id) == {"a": "skipped", "b": "failed"}
        assert run(connection, run_id)["status"] == "failed"

    def test_the_message_is_archived_exactly_once_where_a_child_fails_the_run(self, connection: Connection) -> None:
        skip_first(connection, step("b < a", required_input_pattern={"a": {}}, when_unmet="fail"))
        assert (announced(live(connection)), announced(archived(connection))) == ([], [("a", 0)])

    def test_one_exhausted_task_skips_a_map_and_archives_its_messages(self, connection: Connection) -> None:
        run_id = skip_first_map(connection)
        assert state(connection, run_id, "a")["status"] == "skipped"
        assert announced(live(connection)) == [("b", 0)]

    def test_other_tasks_of_a_skipped_map_keep_their_status(self, connection: Connection) -> None:
        run_id = skip_first_map(connection)
        assert [found["status"] for found in tasks(connection, run_id, "a")] == ["queued", "failed", "queued"]

    @pytest.mark.breaks_invariants
    def test_other_tasks_of_a_skipped_map_can_not_be_started(self, connection: Connection) -> None:
        run_id = skip_first_map(connection)
        assert begin(connection, run_id, "a") == []

    def test_its_event_carries_the_reason_and_the_error(self, recorded: Connection) -> None:
        run_id = skip_first(recorded, "b < a")
        [payload] = [found["payload"] for found in events(recorded) if found["event"] == "step:a:skipped"]
        assert (payload["skip_reason"], payload["error_message"]) == ("handler_failed", "boom")
        assert (payload["run_id"], payload["step_slug"], payload["status"]) == (str(run_id), "a", "skipped")

    def test_events_come_in_the_order_of_what_follows(self, recorded: Connection) -> None:
        unmet = step("c < a", required_input_pattern={"a": {}})
        skip_first(recorded, "b* < a", unmet, "d < b")
        assert event_names(recorded)[2:] == [
            "step:a:skipped",
            "step:c:skipped",
            "step:b:completed",
            "step:d:started",
        ]


class TestExhaustionThatSkipsEverythingBehind:
    def test_the_step_and_all_behind_it_are_skipped(self, connection: Connection) -> None:
        run_id = skip_first(connection, "b < a", "c < b", when_exhausted="skip-cascade")
        reasons = {slug: found["skip_reason"] for slug, found in states(connection, run_id).items()}
        assert reasons == {"a": "handler_failed", "b": "dependency_skipped", "c": "dependency_skipped"}

    def test_only_the_step_itself_has_the_error(self, connection: Connection) -> None:
        run_id = skip_first(connection, "b < a", when_exhausted="skip-cascade")
        errors = [found["error_message"] for found in states(connection, run_id).values()]
        assert errors == ["boom", None]

    def test_the_run_completes_where_nothing_remains(self, connection: Connection) -> None:
        run_id = skip_first(connection, "b < a", "c < b", when_exhausted="skip-cascade")
        assert (run(connection, run_id)["status"], run(connection, run_id)["output"]) == ("completed", None)

    def test_an_independent_step_goes_on(self, connection: Connection) -> None:
        run_id = skip_first(connection, "other", "b < a", when_exhausted="skip-cascade")
        assert statuses(connection, run_id) == {"a": "skipped", "other": "started", "b": "skipped"}
        assert announced(live(connection)) == [("other", 0)]

    def test_a_join_with_a_running_parent_is_skipped(self, connection: Connection) -> None:
        run_id = skip_first(connection, "other", "b < a other", when_exhausted="skip-cascade")
        assert state(connection, run_id, "b")["status"] == "skipped"

    def test_the_run_completes_after_the_independent_step(self, connection: Connection) -> None:
        run_id = skip_first(connection, "other", "b < a other", when_exhausted="skip-cascade")
        finish(connection, run_id, "other", "done")
        assert run(connection, run_id)["status"] == "completed"

    def test_events_name_the_step_then_those_behind_then_the_run(self, recorded: Connection) -> None:
        skip_first(recorded, "z < a", "b < z", when_exhausted="skip-cascade")
        assert event_names(recorded)[2:] == ["step:a:skipped", "step:z:skipped", "step:b:skipped", "run:completed"]


def skip_first(connection: Connection, *others: str | Row, when_exhausted: str = "skip") -> UUID:
    """Start a run of step a, without retries, and the others, and exhaust a."""
    define(connection, step("a", when_exhausted=when_exhausted, max_attempts=1), *others)
    run_id = start(connection)
    exhaust(connection, run_id, "a")
    return run_id


def skip_first_map(connection: Connection) -> UUID:
    """Start a run of a map a of three tasks, with b behind it, and exhaust the second task."""
    define(connection, step("a*", when_exhausted="skip"), max_attempts=1)
    add_step(connection, "b < a")
    run_id = start(connection, [1, 2, 3])
    start_task(connection, run_id, 1)
    fail(connection, run_id, "a", index=1)
    return run_id


def start_task(connection: Connection, run_id: UUID, index: int) -> None:
    """Start one task of step a."""
    start_tasks(connection, [task(connection, run_id, "a", index)["message_id"]], worker=register(connection))
