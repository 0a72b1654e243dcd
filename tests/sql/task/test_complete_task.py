"""Reporting one completed task: its output, its step, what it makes ready, and reports that come late."""

from __future__ import annotations

from typing import Any

import pytest

from sql.engine import (
    JSON_NULL,
    UNKNOWN,
    Connection,
    RunId,
    announced,
    archived,
    begin,
    complete,
    define,
    event_names,
    exhaust,
    fail,
    finish,
    forget_events,
    live,
    rows,
    run,
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


@pytest.mark.feature("A2.3", "A5.20")
@pytest.mark.parametrize("output", [False, 0, "", [], {}, "x", {"a": [1]}, JSON_NULL, None])
def test_the_task_is_completed_with_the_output_as_it_is(connection: Connection, output: Any) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    completed = complete(connection, run_id, "a", output)
    assert completed == task(connection, run_id, "a")
    assert (completed["status"], completed["output"], completed["failed_at"]) == ("completed", output, None)
    assert completed["completed_at"] >= completed["started_at"]


@pytest.mark.feature("A5.20")
@pytest.mark.parametrize("output", [False, 0, "", [], {}, JSON_NULL, None])
def test_the_step_is_completed_with_the_output_of_its_task(connection: Connection, output: Any) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    finish(connection, run_id, "a", output)
    completed = state(connection, run_id, "a")
    assert (completed["status"], completed["remaining_tasks"], completed["output"]) == ("completed", 0, output)


@pytest.mark.feature("A5.20")
def test_the_message_is_archived(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id = start(connection)
    finish(connection, run_id, "a")
    assert announced(archived(connection)) == [("a", 0)]
    assert announced(live(connection)) == [("b", 0)]


def test_arguments_can_be_named(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    query = """
        select status from pgflow.complete_task(run_id => %s, step_slug => 'a', task_index => 0, output => '1')
    """
    assert value(connection, query, run_id) == "completed"


@pytest.mark.feature("A5.20")
def test_children_are_released_and_ready_ones_start(connection: Connection) -> None:
    define(connection, "a", "b", "c < a", "d < a b")
    run_id = start(connection)
    finish(connection, run_id, "a")
    found = {name: (s["status"], s["remaining_deps"]) for name, s in states(connection, run_id).items()}
    assert found == {"a": ("completed", 0), "b": ("started", 0), "c": ("started", 0), "d": ("created", 1)}
    assert run(connection, run_id)["remaining_steps"] == 3


def test_grandchildren_wait(connection: Connection) -> None:
    define(connection, "a", "b < a", "c < b")
    run_id = start(connection)
    finish(connection, run_id, "a")
    assert (state(connection, run_id, "c")["status"], tasks(connection, run_id, "c")) == ("created", [])


# Maps


@pytest.mark.feature("A5.14")
def test_a_map_goes_on_until_its_last_task(recorded: Connection) -> None:
    define(recorded, "m*", "a < m", "n* < m")
    run_id = start(recorded, [1, 2, 3])
    begin(recorded, run_id, "m")
    forget_events(recorded)
    complete(recorded, run_id, "m", "x", 1)
    found = states(recorded, run_id)
    assert (found["m"]["status"], found["m"]["remaining_tasks"], found["m"]["output"]) == ("started", 2, None)
    assert (found["a"]["status"], found["a"]["remaining_deps"]) == ("created", 1)
    assert (found["n"]["status"], found["n"]["initial_tasks"]) == ("created", None)
    assert event_names(recorded) == []


def test_starting_ready_steps_between_tasks_of_a_map_starts_nothing_behind_it(connection: Connection) -> None:
    define(connection, "m*", "a < m", "n* < m")
    run_id = start(connection, [1, 2])
    begin(connection, run_id, "m")
    complete(connection, run_id, "m", "x")
    before = snapshot(connection)
    connection.execute("select pgflow.start_ready_steps(%s)", (run_id,))
    assert snapshot(connection) == before


@pytest.mark.feature("A5.15")
def test_the_output_of_a_map_is_in_the_order_of_its_elements(connection: Connection) -> None:
    define(connection, "m*", "a < m")
    run_id = start(connection, list(range(12)))
    begin(connection, run_id, "m")
    for index in (11, 2, 0, 10, 1, 9, 3, 5, 4, 8, 6, 7):
        complete(connection, run_id, "m", f"#{index}", index)
    assert state(connection, run_id, "m")["output"] == [f"#{index}" for index in range(12)]


def test_a_map_of_one_task_has_an_array_of_one_element(connection: Connection) -> None:
    define(connection, "m*", "a < m")
    run_id = start(connection, ["x"])
    finish(connection, run_id, "m", [1])
    assert state(connection, run_id, "m")["output"] == [[1]]


@pytest.mark.feature("A5.15")
def test_tasks_of_a_map_without_output_are_nulls_in_their_place(connection: Connection) -> None:
    define(connection, "m*", "a < m")
    run_id = start(connection, [1, 2, 3])
    finish(connection, run_id, "m", None, "x", JSON_NULL)
    assert state(connection, run_id, "m")["output"] == [None, "x", None]


def test_a_map_behind_a_single_step_has_as_many_tasks_as_its_array(connection: Connection) -> None:
    define(connection, "a", "m* < a")
    run_id = start(connection)
    finish(connection, run_id, "a", [[1, 2], None, {}])
    mapped = state(connection, run_id, "m")
    assert (mapped["status"], mapped["initial_tasks"], mapped["remaining_tasks"]) == ("started", 3, 3)
    assert len(tasks(connection, run_id, "m")) == 3


@pytest.mark.feature("A5.14")
def test_a_map_behind_a_map_has_as_many_tasks_once_that_is_complete(connection: Connection) -> None:
    define(connection, "m*", "n* < m")
    run_id = start(connection, [1, 2, 3])
    begin(connection, run_id, "m")
    for index in range(2):
        complete(connection, run_id, "m", [], index)
    assert state(connection, run_id, "n")["initial_tasks"] is None
    complete(connection, run_id, "m", [], 2)
    assert state(connection, run_id, "n")["initial_tasks"] == 3


@pytest.mark.breaks_invariants
def test_a_number_of_tasks_that_is_known_already_is_kept(connection: Connection) -> None:
    define(connection, "a", "m* < a")
    run_id = start(connection)
    connection.execute("update pgflow.step_states set initial_tasks = 2 where step_slug = 'm'")
    finish(connection, run_id, "a", [1, 2, 3])
    assert state(connection, run_id, "m")["initial_tasks"] == 2


# Reports that change nothing


@pytest.fixture
def reported(recorded: Connection) -> RunId:
    """A run with a completed step `a` and a step `b` behind it."""
    define(recorded, "a", "b < a")
    run_id = start(recorded)
    finish(recorded, run_id, "a", "first")
    forget_events(recorded)
    return run_id


def test_a_repeated_report_keeps_the_first_output(recorded: Connection, reported: RunId) -> None:
    before = snapshot(recorded)
    assert complete(recorded, reported, "a", "second")["output"] == "first"
    assert (snapshot(recorded), event_names(recorded)) == (before, [])


def test_a_repeated_report_of_one_task_of_a_map_is_not_counted_twice(connection: Connection) -> None:
    define(connection, "m*")
    run_id = start(connection, [1, 2, 3])
    begin(connection, run_id, "m")
    complete(connection, run_id, "m", "first", 0)
    before = snapshot(connection)
    assert complete(connection, run_id, "m", "second", 0)["output"] == "first"
    assert snapshot(connection) == before


def test_a_queued_task_stays_queued_with_its_message(recorded: Connection, reported: RunId) -> None:
    before = snapshot(recorded)
    assert complete(recorded, reported, "b", 1)["status"] == "queued"
    assert snapshot(recorded) == before


def test_a_queued_task_keeps_its_start_delay(connection: Connection) -> None:
    define(connection, step("a", start_delay=3600))
    run_id = start(connection)
    complete(connection, run_id, "a", 1)
    assert live(connection)[0]["seconds"] > 3500


def test_a_task_waiting_for_its_retry_stays_queued(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    fail(connection, run_id, "a")
    before = snapshot(connection)
    assert complete(connection, run_id, "a", 1)["status"] == "queued"
    assert snapshot(connection) == before


@pytest.mark.parametrize(
    ("step_slug", "index"),
    [("a", 1), ("a", -1), ("unknown", 0), ("c", 0)],
    ids=["index", "negative", "step", "no task"],
)
def test_an_unknown_task_has_no_row(connection: Connection, step_slug: str, index: int) -> None:
    define(connection, "a", "c < a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    before = snapshot(connection)
    assert rows(connection, "select * from pgflow.complete_task(%s, %s, %s, '1')", run_id, step_slug, index) == []
    assert snapshot(connection) == before


def test_an_unknown_run_has_no_row(connection: Connection) -> None:
    assert rows(connection, "select * from pgflow.complete_task(%s, 'a', 0, '1')", UNKNOWN) == []


def test_after_the_run_has_failed_nothing_changes(recorded: Connection) -> None:
    define(recorded, "a", "b", max_attempts=1)
    run_id = start(recorded)
    begin(recorded, run_id, "b")
    exhaust(recorded, run_id, "a")
    forget_events(recorded)
    before = snapshot(recorded)
    late = complete(recorded, run_id, "b", 1)
    assert (late["status"], late["output"]) == ("started", None)
    assert (snapshot(recorded), event_names(recorded)) == (before, [])


@pytest.mark.breaks_invariants
def test_after_the_run_was_failed_by_hand_even_the_message_stays(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    connection.execute("update pgflow.runs set status = 'failed', failed_at = now()")
    before = snapshot(connection)
    complete(connection, run_id, "a", 1)
    assert snapshot(connection) == before


@pytest.mark.breaks_invariants
@pytest.mark.parametrize(
    "ended",
    [
        "status = 'skipped', skip_reason = 'preexisting_skip', remaining_tasks = null, skipped_at = now()",
        "status = 'failed', failed_at = now()",
        "status = 'completed', remaining_tasks = 0, completed_at = now(), output = '[1]'",
    ],
)
@pytest.mark.parametrize("is_started", [True, False])
def test_after_the_step_has_ended_only_the_message_is_archived(
    recorded: Connection, ended: str, is_started: bool
) -> None:
    define(recorded, "a", "b < a")
    run_id = start(recorded)
    if is_started:
        begin(recorded, run_id, "a")
    forget_events(recorded)
    recorded.execute(f"update pgflow.step_states set {ended} where step_slug = 'a'")
    before = snapshot(recorded)
    complete(recorded, run_id, "a", 1)
    after = snapshot(recorded)
    assert (announced(live(recorded)), announced(archived(recorded))) == ([], [("a", 0)])
    assert {name: found for name, found in after.items() if name[1] != "_"} == {
        name: found for name, found in before.items() if name[1] != "_"
    }
    assert event_names(recorded) == []


def test_after_the_step_was_skipped_with_its_siblings_nothing_changes(connection: Connection) -> None:
    define(connection, step("m*", when_exhausted="skip", max_attempts=1), "a < m")
    run_id = start(connection, [1, 2])
    begin(connection, run_id, "m")
    fail(connection, run_id, "m", index=0)
    before = snapshot(connection)
    assert complete(connection, run_id, "m", "late", 1)["status"] == "started"
    assert snapshot(connection) == before


@pytest.mark.breaks_invariants
def test_a_task_without_a_message_completes(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    connection.execute("update pgflow.step_tasks set message_id = null")
    complete(connection, run_id, "a", 1)
    assert run(connection, run_id)["status"] == "completed"


def test_a_task_whose_message_is_gone_completes(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    begin(connection, run_id, "a")
    connection.execute("delete from pgmq.q_flow")
    complete(connection, run_id, "a", 1)
    assert run(connection, run_id)["status"] == "completed"


def test_a_condition_that_fails_the_run_leaves_the_task_and_its_step_completed(connection: Connection) -> None:
    define(connection, "a", step("b < a", required_input_pattern={"a": 1}, when_unmet="fail"), "c")
    run_id = start(connection)
    begin(connection, run_id, "a")
    assert complete(connection, run_id, "a", 2)["status"] == "completed"
    assert statuses(connection, run_id) == {"a": "completed", "b": "failed", "c": "started"}
    assert run(connection, run_id)["status"] == "failed"
    assert (announced(live(connection)), len(archived(connection))) == ([], 2)


@pytest.mark.breaks_invariants
def test_a_run_edited_by_hand_goes_on(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id = start(connection)
    connection.execute("""
        update pgflow.step_states set status = 'completed', remaining_tasks = 0, completed_at = now(), output = '1'
        where step_slug = 'b'
    """)
    connection.execute("update pgflow.runs set remaining_steps = 1")
    finish(connection, run_id, "a", 2)
    assert run(connection, run_id)["output"] == {"a": 2, "b": 1}
