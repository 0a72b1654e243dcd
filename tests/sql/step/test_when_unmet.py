"""What an unmet condition does to the step, the steps behind it and the run, in each of the three modes."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    Connection,
    Row,
    announced,
    archived,
    begin,
    complete,
    define,
    event_names,
    events,
    exhaust,
    finish,
    forget_events,
    live,
    run,
    start,
    start_run,
    state,
    states,
    statuses,
    step,
    tasks,
    value,
)


def unmet(text: str, when_unmet: str = "skip") -> Row:
    """Describe a step whose condition no document meets that these tests use."""
    return step(text, required_input_pattern={"never": True}, when_unmet=when_unmet)


def reasons(connection: Connection, run_id: UUID) -> dict[str, str | None]:
    return {slug: found["skip_reason"] for slug, found in states(connection, run_id).items()}


class TestFail:
    def test_the_run_is_returned_as_failed(self, connection: Connection) -> None:
        define(connection, unmet("a", "fail"))
        failed = start_run(connection, {})
        assert (failed["status"], failed["output"], failed["remaining_steps"]) == ("failed", None, 1)

    def test_the_step_is_failed_with_a_text_that_says_why(self, connection: Connection) -> None:
        define(connection, unmet("a", "fail"))
        failed = state(connection, start(connection, {}), "a")
        assert (failed["status"], failed["error_message"]) == ("failed", "Condition not met")
        assert (failed["started_at"], failed["failed_at"] is not None) == (None, True)

    def test_nothing_is_started(self, connection: Connection) -> None:
        define(connection, "b", unmet("a", "fail"))
        run_id = start(connection, {})
        assert statuses(connection, run_id) == {"b": "created", "a": "failed"}
        assert (tasks(connection, run_id), live(connection)) == ([], [])

    def test_step_and_run_send_one_event_each_with_the_text(self, recorded: Connection) -> None:
        define(recorded, "b", unmet("a", "fail"))
        start(recorded, {})
        sent = [(found["event"], found["payload"].get("error_message")) for found in events(recorded)]
        assert sent == [
            ("run:started", None),
            ("step:a:failed", "Condition not met"),
            ("run:failed", "Condition not met"),
        ]

    def test_of_several_the_first_in_the_order_of_definition_fails(self, connection: Connection) -> None:
        define(connection, unmet("z", "fail"), unmet("a", "fail"))
        assert statuses(connection, start(connection, {})) == {"z": "failed", "a": "created"}

    def test_a_dependent_step_fails_the_run_and_the_completed_parent_stays_completed(
        self, connection: Connection
    ) -> None:
        define(connection, "a", unmet("b < a", "fail"))
        run_id = start(connection)
        begin(connection, run_id, "a")
        assert complete(connection, run_id, "a", 1)["status"] == "completed"
        assert statuses(connection, run_id) == {"a": "completed", "b": "failed"}
        assert run(connection, run_id)["status"] == "failed"

    def test_all_messages_of_the_run_are_archived(self, connection: Connection) -> None:
        define(connection, "a", "started", "queued*", unmet("b < a", "fail"))
        run_id = start(connection, [1, 2])
        begin(connection, run_id, "started")
        finish(connection, run_id, "a")
        assert announced(live(connection)) == []
        assert len(archived(connection)) == 4

    @pytest.mark.parametrize("mode", ["skip", "skip-cascade"])
    def test_failing_wins_over_skipping_in_the_same_round(self, connection: Connection, mode: str) -> None:
        define(connection, unmet("a", mode), unmet("b", "fail"))
        assert statuses(connection, start(connection, {})) == {"a": "created", "b": "failed"}


class TestSkip:
    def test_the_step_is_skipped_for_its_condition(self, connection: Connection) -> None:
        define(connection, unmet("a"), "b")
        skipped = state(connection, start(connection, {}), "a")
        assert (skipped["status"], skipped["skip_reason"]) == ("skipped", "condition_unmet")
        assert (skipped["started_at"], skipped["error_message"], skipped["remaining_tasks"]) == (None, None, None)

    def test_a_skipped_step_gets_no_task(self, connection: Connection) -> None:
        define(connection, unmet("a"), "b")
        assert tasks(connection, start(connection, {}), "a") == []

    def test_the_run_goes_on_with_one_step_less(self, connection: Connection) -> None:
        define(connection, unmet("a"), "b")
        going = start_run(connection, {})
        assert (going["status"], going["remaining_steps"]) == ("started", 1)

    def test_a_run_of_skipped_steps_only_completes_without_output(self, connection: Connection) -> None:
        define(connection, unmet("a"), unmet("b"))
        completed = start_run(connection, {})
        assert (completed["status"], completed["output"]) == ("completed", None)

    def test_a_child_without_condition_starts_without_the_key_of_the_parent(self, connection: Connection) -> None:
        define(connection, unmet("a"), "b < a")
        run_id = start(connection, {})
        assert [found["input"] for found in begin(connection, run_id, "b")] == [{}]

    def test_a_map_behind_it_completes_with_an_empty_array_and_the_run_with_it(self, connection: Connection) -> None:
        define(connection, unmet("a"), "b* < a")
        completed = start_run(connection, {})
        assert (completed["status"], completed["output"]) == ("completed", {"b": []})

    def test_a_skipped_map_gives_the_map_behind_it_no_tasks(self, connection: Connection) -> None:
        define(connection, unmet("a*"), "b* < a")
        run_id = start(connection, [1, 2, 3])
        assert state(connection, run_id, "b")["initial_tasks"] == 0

    def test_two_parents_skipped_in_one_round_count_twice(self, connection: Connection) -> None:
        define(connection, unmet("a"), unmet("b"), "c < a b")
        joined = state(connection, start(connection, {}), "c")
        assert (joined["status"], joined["remaining_deps"]) == ("started", 0)

    def test_a_join_starts_when_the_last_branch_completes(self, connection: Connection) -> None:
        define(connection, unmet("a"), unmet("b"), "c", "d < a b c")
        run_id = start(connection, {})
        assert state(connection, run_id, "d")["remaining_deps"] == 1
        finish(connection, run_id, "c", 3)
        assert [found["input"] for found in begin(connection, run_id, "d")] == [{"c": 3}]

    def test_a_chain_of_conditions_is_skipped_in_one_call(self, connection: Connection) -> None:
        define(connection, unmet("a"), unmet("b < a"), unmet("c < b"), "d < c")
        run_id = start(connection, {})
        assert list(statuses(connection, run_id).values()) == ["skipped", "skipped", "skipped", "started"]

    @pytest.mark.parametrize("length", [49, 60])
    def test_a_long_chain_of_conditions_is_skipped_too(self, connection: Connection, length: int) -> None:
        define(connection, unmet("s0"), *(unmet(f"s{i} < s{i - 1}") for i in range(1, length)))
        assert start_run(connection, {})["status"] == "completed"

    def test_a_step_that_fails_behind_a_skipped_one_fails_the_run(self, connection: Connection) -> None:
        define(connection, unmet("a"), unmet("b < a", "fail"))
        run_id = start(connection, {})
        assert statuses(connection, run_id) == {"a": "skipped", "b": "failed"}
        assert run(connection, run_id)["status"] == "failed"

    def test_it_sends_one_event(self, recorded: Connection) -> None:
        define(recorded, unmet("a"), "b")
        start(recorded, {})
        assert event_names(recorded) == ["run:started", "step:a:skipped", "step:b:started"]

    def test_its_event_says_why_and_when(self, recorded: Connection) -> None:
        define(recorded, unmet("a"), "b")
        run_id = start(recorded, {})
        [payload] = [found["payload"] for found in events(recorded) if found["event"] == "step:a:skipped"]
        stored = state(recorded, run_id, "a")["skipped_at"]
        assert (payload["event_type"], payload["flow_slug"]) == ("step:skipped", "flow")
        assert (payload["status"], payload["skip_reason"]) == ("skipped", "condition_unmet")
        assert value(recorded, "select %s::timestamptz", payload["skipped_at"]) == stored


class TestSkipCascade:
    def test_everything_behind_the_step_is_skipped_as_its_dependency_was(self, connection: Connection) -> None:
        define(connection, unmet("a", "skip-cascade"), "b < a", "c < b", "other")
        assert reasons(connection, start(connection, {})) == {
            "a": "condition_unmet",
            "b": "dependency_skipped",
            "c": "dependency_skipped",
            "other": None,
        }

    def test_an_independent_branch_starts(self, connection: Connection) -> None:
        define(connection, unmet("a", "skip-cascade"), "b < a", "other", "last < other")
        run_id = start(connection, {})
        assert announced(live(connection)) == [("other", 0)]
        finish(connection, run_id, "other", 1)
        finish(connection, run_id, "last", 2)
        assert run(connection, run_id)["output"] == {"last": 2}

    def test_a_join_is_skipped_though_its_other_parent_still_runs(self, connection: Connection) -> None:
        define(connection, "other", unmet("a", "skip-cascade"), "join < a other")
        run_id = start(connection, {})
        assert statuses(connection, run_id) == {"other": "started", "a": "skipped", "join": "skipped"}

    def test_the_run_completes_when_everything_is_skipped(self, connection: Connection) -> None:
        define(connection, unmet("a", "skip-cascade"), "b < a")
        assert start_run(connection, {})["status"] == "completed"

    def test_a_cascade_behind_a_completed_step(self, connection: Connection) -> None:
        define(connection, "a", unmet("b < a", "skip-cascade"), "c* < b", "d < c")
        run_id = start(connection)
        finish(connection, run_id, "a", {})
        assert list(statuses(connection, run_id).values()) == ["completed", "skipped", "skipped", "skipped"]
        assert run(connection, run_id)["status"] == "completed"

    def test_a_cascade_behind_a_plain_skip(self, connection: Connection) -> None:
        define(connection, unmet("a"), unmet("b < a", "skip-cascade"), "c < b")
        assert reasons(connection, start(connection, {})) == {
            "a": "condition_unmet",
            "b": "condition_unmet",
            "c": "dependency_skipped",
        }

    def test_of_two_cascades_in_a_line_the_second_is_a_dependency(self, connection: Connection) -> None:
        define(connection, unmet("a", "skip-cascade"), unmet("b < a", "skip-cascade"))
        assert reasons(connection, start(connection, {})) == {"a": "condition_unmet", "b": "dependency_skipped"}

    def test_its_events_come_parents_first(self, recorded: Connection) -> None:
        define(recorded, unmet("z", "skip-cascade"), "y < z", "x < y")
        start(recorded, {})
        assert event_names(recorded)[1:] == ["step:z:skipped", "step:y:skipped", "step:x:skipped", "run:completed"]

    def test_a_cascade_after_exhaustion_of_the_parent(self, recorded: Connection) -> None:
        define(recorded, step("a", when_exhausted="skip", max_attempts=1), unmet("b < a", "skip-cascade"), "c < b")
        run_id = start(recorded)
        forget_events(recorded)
        exhaust(recorded, run_id, "a")
        assert event_names(recorded) == ["step:a:skipped", "step:b:skipped", "step:c:skipped", "run:completed"]
