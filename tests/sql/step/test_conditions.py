"""When the condition of a step is met: patterns against the run's input or the outputs of completed parents."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sql.engine import JSON_NULL, Connection, begin, define, exhaust, finish, start, state, statuses, step

REQUIRED = "required_input_pattern"
FORBIDDEN = "forbidden_input_pattern"


def root_status(connection: Connection, run_input: object, **patterns: Any) -> str:
    """The status of a root step with these patterns in a run with this input."""
    define(connection, step("a", **patterns))
    return str(state(connection, start(connection, run_input), "a")["status"])


def child_status(connection: Connection, output: object, **patterns: Any) -> str:
    """The status of a step with these patterns behind step a, which completes with this output."""
    define(connection, "a", step("b < a", **patterns))
    run_id = start(connection)
    finish(connection, run_id, "a", output)
    return str(state(connection, run_id, "b")["status"])


def status_behind_a_skip(connection: Connection, **patterns: Any) -> str:
    """The status of a step with these patterns behind step a, which is skipped."""
    define(connection, step("a", when_exhausted="skip", max_attempts=1), step("b < a", **patterns))
    run_id = start(connection)
    exhaust(connection, run_id, "a")
    return str(state(connection, run_id, "b")["status"])


class TestOfARootStep:
    @pytest.mark.parametrize(
        ("run_input", "pattern", "status"),
        [
            ({"plan": "pro"}, {"plan": "pro"}, "started"),
            ({"plan": "pro", "age": 3}, {"plan": "pro"}, "started"),
            ({"plan": "free"}, {"plan": "pro"}, "skipped"),
            ({}, {"plan": "pro"}, "skipped"),
            ({"plan": None}, {"plan": "pro"}, "skipped"),
            ({"user": {"plan": "pro", "name": "x"}}, {"user": {"plan": "pro"}}, "started"),
            ({"user": {"name": "x"}}, {"user": {"plan": "pro"}}, "skipped"),
            ({"tags": ["a", "b"]}, {"tags": ["b"]}, "started"),
            ({"tags": ["a"]}, {"tags": ["b"]}, "skipped"),
            ({}, {}, "started"),
            ([1, 2], {}, "skipped"),
            ([{"plan": "pro"}], {"plan": "pro"}, "skipped"),
            ("text", {}, "skipped"),
            (JSON_NULL, {}, "skipped"),
        ],
        ids=str,
    )
    def test_a_required_pattern_is_met_where_the_input_contains_it(
        self, connection: Connection, run_input: object, pattern: dict[str, Any], status: str
    ) -> None:
        assert root_status(connection, run_input, required_input_pattern=pattern) == status

    @pytest.mark.parametrize(
        ("run_input", "pattern", "status"),
        [
            ({"plan": "pro"}, {"plan": "pro"}, "skipped"),
            ({"plan": "free"}, {"plan": "pro"}, "started"),
            ({}, {"plan": "pro"}, "started"),
            ({"user": {"plan": "pro", "name": "x"}}, {"user": {"plan": "pro"}}, "skipped"),
            ({}, {}, "skipped"),
            ([1, 2], {}, "started"),
            ([{"plan": "pro"}], {"plan": "pro"}, "started"),
            (5, {}, "started"),
        ],
        ids=str,
    )
    def test_a_forbidden_pattern_is_met_where_the_input_does_not_contain_it(
        self, connection: Connection, run_input: object, pattern: dict[str, Any], status: str
    ) -> None:
        assert root_status(connection, run_input, forbidden_input_pattern=pattern) == status

    @pytest.mark.parametrize(
        ("run_input", "status"),
        [
            ({"plan": "pro"}, "started"),
            ({"plan": "pro", "banned": True}, "skipped"),
            ({"banned": True}, "skipped"),
            ({}, "skipped"),
        ],
        ids=str,
    )
    def test_both_patterns_must_be_met(self, connection: Connection, run_input: object, status: str) -> None:
        both: dict[str, Any] = {REQUIRED: {"plan": "pro"}, FORBIDDEN: {"banned": True}}
        assert root_status(connection, run_input, **both) == status

    @pytest.mark.parametrize("when_unmet", ["fail", "skip", "skip-cascade"])
    def test_without_a_pattern_the_mode_has_no_effect(self, connection: Connection, when_unmet: str) -> None:
        assert root_status(connection, {}, when_unmet=when_unmet) == "started"

    def test_a_root_map_without_elements_is_skipped_rather_than_completed(self, connection: Connection) -> None:
        define(connection, step("a*", required_input_pattern={"x": 1}))
        assert state(connection, start(connection, []), "a")["status"] == "skipped"

    def test_of_two_opposite_conditions_exactly_one_branch_runs(self, connection: Connection) -> None:
        pattern = {"plan": "pro"}
        define(connection, step("a", required_input_pattern=pattern), step("b", forbidden_input_pattern=pattern))
        assert statuses(connection, start(connection, {"plan": "pro"})) == {"a": "started", "b": "skipped"}
        assert statuses(connection, start(connection, {"plan": "free"})) == {"a": "skipped", "b": "started"}


class TestOfADependentStep:
    @pytest.mark.parametrize(
        ("output", "pattern", "status"),
        [
            ({"ok": True}, {"a": {"ok": True}}, "started"),
            ({"ok": False}, {"a": {"ok": True}}, "skipped"),
            ({}, {"a": {"ok": True}}, "skipped"),
            ("yes", {"a": "yes"}, "started"),
            (0, {"a": 0}, "started"),
            (False, {"a": False}, "started"),
            ([1, 2, 3], {"a": [2]}, "started"),
            (JSON_NULL, {"a": None}, "started"),
            (None, {"a": None}, "started"),
            ({"ok": True}, {"ok": True}, "skipped"),
        ],
        ids=str,
    )
    def test_a_required_pattern_is_compared_with_outputs_by_the_slug_of_the_parent(
        self, connection: Connection, output: object, pattern: dict[str, Any], status: str
    ) -> None:
        assert child_status(connection, output, required_input_pattern=pattern) == status

    @pytest.mark.parametrize(
        ("output", "pattern", "status"),
        [
            ({"bad": 1}, {"a": {"bad": 1}}, "skipped"),
            ({"bad": 2}, {"a": {"bad": 1}}, "started"),
            ({"any": 1}, {"a": {}}, "skipped"),
            ({}, {"a": {}}, "skipped"),
            ([1], {"a": {}}, "started"),
            ("text", {"a": {}}, "started"),
            (JSON_NULL, {"a": {}}, "started"),
            (None, {"a": {}}, "started"),
        ],
        ids=str,
    )
    def test_a_forbidden_pattern_is_compared_with_outputs_too(
        self, connection: Connection, output: object, pattern: dict[str, Any], status: str
    ) -> None:
        assert child_status(connection, output, forbidden_input_pattern=pattern) == status

    def test_the_input_of_the_run_plays_no_part(self, connection: Connection) -> None:
        define(connection, "a", step("b < a", required_input_pattern={"plan": "pro"}))
        run_id = start(connection, {"plan": "pro"})
        finish(connection, run_id, "a", {})
        assert state(connection, run_id, "b")["status"] == "skipped"

    def test_a_skipped_parent_has_no_key_to_be_required(self, connection: Connection) -> None:
        assert status_behind_a_skip(connection, required_input_pattern={"a": {}}) == "skipped"

    def test_a_skipped_parent_has_no_key_to_be_forbidden(self, connection: Connection) -> None:
        assert status_behind_a_skip(connection, forbidden_input_pattern={"a": {}}) == "started"

    def test_with_all_parents_skipped_the_document_is_an_empty_object(self, connection: Connection) -> None:
        assert status_behind_a_skip(connection, required_input_pattern={}) == "started"

    def test_outputs_of_several_parents_are_tested_together(self, connection: Connection) -> None:
        define(connection, "a", "b", step("c < a b", required_input_pattern={"a": 1, "b": 2}))
        run_id = start(connection)
        finish(connection, run_id, "a", 1)
        finish(connection, run_id, "b", 2)
        assert state(connection, run_id, "c")["status"] == "started"

    def test_it_is_not_tested_before_all_parents_have_ended(self, connection: Connection) -> None:
        run_id = start_join(connection)
        finish(connection, run_id, "a", 7)
        assert state(connection, run_id, "c")["status"] == "created"

    def test_it_is_tested_when_the_last_parent_has_ended(self, connection: Connection) -> None:
        run_id = start_join(connection)
        finish(connection, run_id, "a", 7)
        finish(connection, run_id, "b", 2)
        assert state(connection, run_id, "c")["status"] == "skipped"

    def test_a_map_behind_an_array_has_a_condition_too(self, connection: Connection) -> None:
        define(connection, "a", step("b* < a", required_input_pattern={"a": [9]}))
        run_id = start(connection)
        finish(connection, run_id, "a", [1, 2])
        assert state(connection, run_id, "b")["status"] == "skipped"

    @pytest.mark.parametrize(("pattern", "status"), [({"a": []}, "started"), ({"a": [1]}, "skipped")], ids=str)
    def test_behind_an_empty_root_map_it_is_tested_before_the_step_starts(
        self, connection: Connection, pattern: dict[str, Any], status: str
    ) -> None:
        define(connection, "a*", step("b < a", required_input_pattern=pattern))
        run_id = start(connection, [])
        assert statuses(connection, run_id) == {"a": "completed", "b": status}

    def test_behind_an_empty_map_in_the_middle_it_is_tested_too(self, connection: Connection) -> None:
        unmet = step("c < b", required_input_pattern={"b": [1]})
        define(connection, "a", "b* < a", unmet, "d < c")
        run_id = start(connection)
        finish(connection, run_id, "a", [])
        assert statuses(connection, run_id) == {"a": "completed", "b": "completed", "c": "skipped", "d": "started"}


def start_join(connection: Connection) -> UUID:
    """Start a run of a and b, whose outputs 1 and 2 are required by c."""
    define(connection, "a", "b", step("c < a b", required_input_pattern={"a": 1, "b": 2}))
    run_id = start(connection)
    begin(connection, run_id, "a")
    return run_id
