"""Starting a run: what there is at the end of the call."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sql.engine import (
    JSON_NULL,
    Connection,
    claim,
    create_flow,
    define,
    event_names,
    refused,
    run,
    start,
    start_run,
    states,
    step,
    task,
    tasks,
    value,
)

NO_ARRAYS = [(JSON_NULL, "null"), ("x", "string"), (1, "number"), (False, "boolean"), ({}, "object")]
RUN_ID = UUID("00000000-0000-0000-0000-00000000b001")


@pytest.mark.feature("A2.15", "A5.17")
def test_the_run_is_returned_as_it_is_at_the_end_of_the_call(connection: Connection) -> None:
    define(connection, "a", "b < a")
    started = start_run(connection, {"x": 1})
    assert started == run(connection, started["run_id"])
    assert (started["status"], started["input"], started["remaining_steps"]) == ("started", {"x": 1}, 2)
    assert (started["output"], started["completed_at"], started["failed_at"]) == (None, None, None)


@pytest.mark.feature("A5.7", "A5.17")
def test_roots_start_and_their_children_wait(connection: Connection) -> None:
    define(connection, "a", "b < a", "c* < a", "d < b c")
    run_id = start(connection)
    found = states(connection, run_id)
    assert [(name, s["status"], s["remaining_deps"]) for name, s in found.items()] == [
        ("a", "started", 0),
        ("b", "created", 1),
        ("c", "created", 1),
        ("d", "created", 2),
    ]
    assert [found["step_slug"] for found in tasks(connection, run_id)] == ["a"]


@pytest.mark.feature("A5.14")
def test_initial_tasks_are_known_unless_a_map_waits_for_its_parent(connection: Connection) -> None:
    define(connection, "a", "m*", "b < m", "n* < m")
    found = states(connection, start(connection, [1, 2, 3]))
    assert {name: s["initial_tasks"] for name, s in found.items()} == {"a": 1, "m": 3, "b": 1, "n": None}


def test_only_started_steps_know_their_remaining_tasks(connection: Connection) -> None:
    define(connection, "a", "m*", "b < m", "n* < m")
    found = states(connection, start(connection, [1, 2, 3]))
    assert {name: s["remaining_tasks"] for name, s in found.items()} == {"a": 1, "m": 3, "b": None, "n": None}


def test_a_new_task_is_queued_and_was_never_started(connection: Connection) -> None:
    define(connection, "a")
    queued = task(connection, start(connection), "a")
    assert (queued["status"], queued["attempts_count"], queued["task_index"]) == ("queued", 0, 0)
    assert (queued["started_at"], queued["last_worker_id"], queued["output"]) == (None, None, None)


@pytest.mark.feature("A2.15", "A5.17")
@pytest.mark.parametrize("run_input", ["text", "", 0, 1.5, False, JSON_NULL, [], [1], {}, {"x": None}])
def test_any_json_is_an_input_without_a_root_map(connection: Connection, run_input: object) -> None:
    define(connection, "a")
    assert start_run(connection, run_input)["input"] == run_input


def test_sql_null_is_no_input(connection: Connection) -> None:
    define(connection, "a")
    with refused(connection, "23502", 'column "input"'):
        start(connection, None)


@pytest.mark.feature("A5.12")
@pytest.mark.parametrize(("run_input", "json_type"), NO_ARRAYS)
def test_a_root_map_refuses_what_is_no_array_and_leaves_no_run(
    connection: Connection, run_input: object, json_type: str
) -> None:
    define(connection, "a", "m*")
    with refused(connection, "P0001", f"Flow flow has root map steps but input is not an array (got {json_type})"):
        start(connection, run_input)
    assert value(connection, "select count(*) from pgflow.runs") == 0


def test_a_root_map_refuses_sql_null(connection: Connection) -> None:
    define(connection, "m*")
    with refused(connection, "P0001", "Flow flow has root map steps but input is NULL"):
        start(connection, None)


def test_a_dependent_map_lets_the_input_be_anything(connection: Connection) -> None:
    define(connection, "a", "m* < a")
    assert start_run(connection, {"no": "array"})["status"] == "started"


def test_a_given_run_id_is_used(connection: Connection) -> None:
    define(connection, "a")
    assert start_run(connection, run_id=RUN_ID)["run_id"] == RUN_ID


def test_a_run_id_in_use_is_refused(connection: Connection) -> None:
    define(connection, "a")
    start_run(connection, run_id=RUN_ID)
    with refused(connection, "23505", "runs_pkey"):
        start_run(connection, run_id=RUN_ID)


def test_without_an_id_each_call_makes_a_run(connection: Connection) -> None:
    define(connection, "a")
    assert start(connection) != start(connection)


def test_an_unknown_flow_is_refused(connection: Connection) -> None:
    with refused(connection, "23503", "runs_flow_slug_fkey"):
        start(connection)


def test_a_flow_without_steps_completes_at_once_without_output(recorded: Connection) -> None:
    create_flow(recorded)
    started = start_run(recorded)
    assert (started["status"], started["output"], started["remaining_steps"]) == ("completed", None, 0)
    assert event_names(recorded) == ["run:started", "run:completed"]


def test_several_root_maps_share_the_array(connection: Connection) -> None:
    define(connection, "m*", "n*")
    start(connection, ["x", "y"])
    found = [(claimed["step_slug"], claimed["task_index"], claimed["input"]) for claimed in claim(connection)]
    assert found == [("m", 0, "x"), ("m", 1, "y"), ("n", 0, "x"), ("n", 1, "y")]


@pytest.mark.parametrize(
    "elements",
    [
        [[1, 2], [3, [4, 5]]],
        [1, "a", None, True, {}],
        [1, 1, 1],
        [None, None],
        ["日本", "ÅÄÖ", "🎉"],
        [[]],
        list(range(500)),
    ],
)
def test_a_map_gets_one_task_per_top_level_element(connection: Connection, elements: list[Any]) -> None:
    define(connection, "m*")
    run_id = start(connection, elements)
    assert [found["task_index"] for found in tasks(connection, run_id, "m")] == list(range(len(elements)))


def test_a_run_whose_condition_fails_is_returned_as_failed(connection: Connection) -> None:
    define(connection, "a", step("b", required_input_pattern={"x": 1}, when_unmet="fail"))
    started = start_run(connection, {})
    assert (started["status"], started["remaining_steps"], started["completed_at"]) == ("failed", 2, None)
    assert tasks(connection, started["run_id"]) == []


def test_all_steps_skipped_completes_the_run_without_output(connection: Connection) -> None:
    define(connection, step("a", required_input_pattern={"x": 1}))
    started = start_run(connection, {})
    assert (started["status"], started["output"]) == ("completed", None)
