"""A step before a map whose output is no array: a programming error, which fails the run."""

from __future__ import annotations

from typing import Any

import pytest

from sql.engine import (
    JSON_NULL,
    Connection,
    RunId,
    announced,
    archived,
    begin,
    complete,
    define,
    event_names,
    events,
    finish,
    forget_events,
    live,
    rows,
    run,
    snapshot,
    start,
    state,
    statuses,
    step,
    task,
    tasks,
)

VIOLATIONS = [
    ({"a": 1}, "object"),
    ("x", "string"),
    (7, "number"),
    (False, "boolean"),
    (JSON_NULL, "null"),
    (None, "null"),
]


@pytest.fixture
def mapped(recorded: Connection) -> RunId:
    """A run whose step `a`, with a map behind it, has started."""
    define(recorded, "a", "m* < a")
    run_id = start(recorded)
    begin(recorded, run_id, "a")
    forget_events(recorded)
    return run_id


@pytest.mark.feature("A5.13")
@pytest.mark.parametrize(("output", "json_type"), VIOLATIONS)
def test_the_task_fails_and_keeps_the_output(recorded: Connection, mapped: RunId, output: Any, json_type: str) -> None:
    failed = complete(recorded, mapped, "a", output)
    assert failed == task(recorded, mapped, "a")
    assert (failed["status"], failed["output"], failed["completed_at"]) == ("failed", output, None)
    assert failed["error_message"] == f"[TYPE_VIOLATION] Produced {json_type} instead of array"
    assert failed["failed_at"] is not None


@pytest.mark.parametrize(("output", "json_type"), VIOLATIONS)
def test_the_step_fails_without_output(recorded: Connection, mapped: RunId, output: Any, json_type: str) -> None:
    complete(recorded, mapped, "a", output)
    failed = state(recorded, mapped, "a")
    text = f"[TYPE_VIOLATION] Map step m expects array input but dependency a produced {json_type}"
    assert (failed["status"], failed["error_message"], failed["output"]) == ("failed", text, None)
    assert failed["failed_at"] is not None


@pytest.mark.feature("A5.13")
def test_the_run_fails_and_keeps_its_remaining_steps(recorded: Connection, mapped: RunId) -> None:
    complete(recorded, mapped, "a", {})
    failed = run(recorded, mapped)
    assert (failed["status"], failed["remaining_steps"], failed["output"]) == ("failed", 2, None)
    assert failed["failed_at"] is not None


def test_the_map_stays_as_it_was(recorded: Connection, mapped: RunId) -> None:
    before = state(recorded, mapped, "m")
    complete(recorded, mapped, "a", {})
    assert state(recorded, mapped, "m") == before
    assert (before["status"], before["initial_tasks"]) == ("created", None)


def test_one_event_tells_of_the_step_and_then_one_of_the_run(recorded: Connection, mapped: RunId) -> None:
    complete(recorded, mapped, "a", {})
    text = "[TYPE_VIOLATION] Map step m expects array input but dependency a produced object"
    assert event_names(recorded) == ["step:a:failed", "run:failed"]
    assert [sent["payload"]["error_message"] for sent in events(recorded)] == [text, text]


def test_a_second_report_changes_nothing(recorded: Connection, mapped: RunId) -> None:
    complete(recorded, mapped, "a", {})
    before = snapshot(recorded)
    assert complete(recorded, mapped, "a", [])["output"] == {}
    assert (snapshot(recorded), len(events(recorded))) == (before, 2)


@pytest.mark.parametrize("output", [[], [1], [None]])
def test_an_array_is_no_violation(recorded: Connection, mapped: RunId, output: list[Any]) -> None:
    assert complete(recorded, mapped, "a", output)["status"] == "completed"


@pytest.mark.parametrize("output", [{}, "x", JSON_NULL, None])
def test_a_step_without_a_map_behind_it_may_produce_anything(connection: Connection, output: Any) -> None:
    define(connection, "a", "b < a", "m* < b")
    run_id = start(connection)
    begin(connection, run_id, "a")
    assert complete(connection, run_id, "a", output)["status"] == "completed"


@pytest.mark.parametrize("output", [{}, "x", JSON_NULL, None])
def test_a_task_of_a_map_may_produce_anything(connection: Connection, output: Any) -> None:
    define(connection, "m*", "n* < m")
    run_id = start(connection, [1])
    begin(connection, run_id, "m")
    assert complete(connection, run_id, "m", output)["status"] == "completed"


@pytest.mark.breaks_invariants
def test_a_map_whose_number_of_tasks_is_known_accepts_anything(recorded: Connection, mapped: RunId) -> None:
    recorded.execute("update pgflow.step_states set initial_tasks = 0 where step_slug = 'm'")
    assert complete(recorded, mapped, "a", {})["status"] == "completed"


def test_of_several_maps_the_first_defined_is_named(connection: Connection) -> None:
    define(connection, "a", "b < a", "z* < a", "m* < a")
    run_id = start(connection)
    finish(connection, run_id, "a", {})
    text = "[TYPE_VIOLATION] Map step z expects array input but dependency a produced object"
    assert state(connection, run_id, "a")["error_message"] == text


def test_siblings_of_the_map_get_no_task(connection: Connection) -> None:
    define(connection, "a", "b < a", "m* < a")
    run_id = start(connection)
    finish(connection, run_id, "a", {})
    assert statuses(connection, run_id) == {"a": "failed", "b": "created", "m": "created"}
    assert [found["step_slug"] for found in tasks(connection, run_id)] == ["a"]


@pytest.mark.feature("A5.13")
def test_no_message_of_the_run_is_left(connection: Connection) -> None:
    define(connection, "a", "m* < a", "started", "queued", step("delayed", start_delay=300))
    run_id = start(connection)
    begin(connection, run_id, "started")
    finish(connection, run_id, "a", {})
    assert live(connection) == []
    assert sorted(slug for slug, _ in announced(archived(connection))) == ["a", "delayed", "queued", "started"]
    assert [found["status"] for found in tasks(connection, run_id)] == ["failed", "queued", "queued", "started"]


def test_messages_of_other_runs_stay(connection: Connection) -> None:
    define(connection, "a", "m* < a")
    run_id, other = start(connection), start(connection)
    finish(connection, run_id, "a", {})
    assert [sent["message"]["run_id"] for sent in live(connection)] == [str(other)]


@pytest.mark.parametrize("mode", ["skip", "skip-cascade", "fail"])
def test_neither_attempts_nor_the_mode_of_the_step_matter(connection: Connection, mode: str) -> None:
    define(connection, step("a", when_exhausted=mode, max_attempts=9), "m* < a")
    run_id = start(connection)
    finish(connection, run_id, "a", {})
    assert (run(connection, run_id)["status"], state(connection, run_id, "a")["status"]) == ("failed", "failed")


def test_a_queued_task_is_no_violation(connection: Connection) -> None:
    define(connection, "a", "m* < a")
    run_id = start(connection)
    before = snapshot(connection)
    assert complete(connection, run_id, "a", {})["status"] == "queued"
    assert snapshot(connection) == before


def test_an_unknown_task_is_no_violation(recorded: Connection, mapped: RunId) -> None:
    before = snapshot(recorded)
    assert rows(recorded, "select * from pgflow.complete_task(%s, 'a', 1, '{}')", mapped) == []
    assert snapshot(recorded) == before


@pytest.mark.breaks_invariants
def test_a_task_without_a_message_violates_too(recorded: Connection, mapped: RunId) -> None:
    recorded.execute("update pgflow.step_tasks set message_id = null")
    assert complete(recorded, mapped, "a", {})["status"] == "failed"
