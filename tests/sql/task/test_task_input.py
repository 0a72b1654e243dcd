"""What a task gets: its input, and the run's input where it is a root."""

from __future__ import annotations

from typing import Any

import pytest

from sql.engine import JSON_NULL, Connection, RunId, begin, claim, complete, define, fail, finish, run, start, step

SKIPPED = {"required_input_pattern": {"wanted": True}}
VALUES: list[Any] = [False, 0, "", [], {}, "text", 1.5, True, [[1]], {"a": {"b": None}}, JSON_NULL]


def given(connection: Connection, run_id: RunId, step_slug: str) -> list[tuple[Any, Any]]:
    """Start the tasks of a step and return the input and flow input of each."""
    return [(started["input"], started["flow_input"]) for started in begin(connection, run_id, step_slug)]


@pytest.mark.feature("A5.24")
@pytest.mark.parametrize("run_input", VALUES)
def test_a_root_step_gets_the_input_of_the_run(connection: Connection, run_input: object) -> None:
    define(connection, "a")
    run_id = start(connection, run_input)
    assert given(connection, run_id, "a") == [({}, run_input)]


def test_every_root_step_gets_the_input_of_the_run(connection: Connection) -> None:
    define(connection, "a", "b")
    run_id = start(connection, {"x": 1})
    assert given(connection, run_id, "a") == given(connection, run_id, "b") == [({}, {"x": 1})]


@pytest.mark.parametrize("output", VALUES)
def test_a_dependent_step_gets_the_output_of_its_parent(connection: Connection, output: Any) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection, {"x": 1})
    finish(connection, run_id, "a", output)
    assert given(connection, run_id, "b") == [({"a": None if output is JSON_NULL else output}, None)]


def test_a_parent_without_output_is_null(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    finish(connection, run_id, "a", None)
    assert given(connection, run_id, "b") == [({"a": None}, None)]


@pytest.mark.feature("A5.24")
def test_a_dependent_step_has_a_key_for_each_of_its_parents(connection: Connection) -> None:
    define(connection, "a", "b", "c < a", "d < a b")
    run_id = start(connection)
    for slug in "abc":
        finish(connection, run_id, slug, f"output of {slug}")
    assert given(connection, run_id, "d") == [({"a": "output of a", "b": "output of b"}, None)]


def test_a_skipped_parent_has_no_key(connection: Connection) -> None:
    define(connection, "a", step("b", **SKIPPED), "c < a b")
    run_id = start(connection)
    finish(connection, run_id, "a", 1)
    assert given(connection, run_id, "c") == [({"a": 1}, None)]


def test_with_all_parents_skipped_the_input_is_empty(connection: Connection) -> None:
    define(connection, step("a", **SKIPPED), step("b", **SKIPPED), "c < a b")
    run_id = start(connection)
    assert given(connection, run_id, "c") == [({}, None)]


@pytest.mark.feature("A5.8", "A5.9", "A5.11")
def test_a_root_map_gets_the_elements_of_the_input(connection: Connection) -> None:
    define(connection, "m*")
    run_id = start(connection, [None if element is JSON_NULL else element for element in VALUES])
    assert given(connection, run_id, "m") == [(element, None) for element in VALUES]


@pytest.mark.feature("A5.9", "A5.24")
def test_a_dependent_map_gets_the_elements_of_its_parent(connection: Connection) -> None:
    define(connection, "a", "m* < a")
    run_id = start(connection, {"x": 1})
    finish(connection, run_id, "a", [None if element is JSON_NULL else element for element in VALUES])
    assert given(connection, run_id, "m") == [(element, None) for element in VALUES]


def test_a_map_behind_a_map_gets_its_outputs(connection: Connection) -> None:
    define(connection, "m*", "n* < m")
    run_id = start(connection, list(range(len(VALUES))))
    finish(connection, run_id, "m", *VALUES)
    assert given(connection, run_id, "n") == [(element, None) for element in VALUES]


def test_a_map_behind_tasks_without_output_gets_nulls(connection: Connection) -> None:
    define(connection, "m*", "n* < m")
    run_id = start(connection, [1, 2])
    finish(connection, run_id, "m", None, 2)
    assert given(connection, run_id, "n") == [(JSON_NULL, None), (2, None)]


def test_a_step_behind_a_map_gets_the_array(connection: Connection) -> None:
    define(connection, "m*", "a < m")
    run_id = start(connection, [1, 2, 3])
    finish(connection, run_id, "m", False, None, "")
    assert given(connection, run_id, "a") == [({"m": [False, None, ""]}, None)]


@pytest.mark.parametrize("output", VALUES)
def test_a_value_passes_through_every_hop_unchanged(connection: Connection, output: Any) -> None:
    plain = None if output is JSON_NULL else output
    define(connection, "a", "b < a", "m* < b", "n* < m", "c < n")
    run_id = start(connection)
    finish(connection, run_id, "a", output)
    assert given(connection, run_id, "b") == [({"a": plain}, None)]
    complete(connection, run_id, "b", [plain])
    assert given(connection, run_id, "m") == [(output, None)]
    complete(connection, run_id, "m", output)
    assert given(connection, run_id, "n") == [(output, None)]
    complete(connection, run_id, "n", output)
    assert given(connection, run_id, "c") == [({"n": [plain]}, None)]
    complete(connection, run_id, "c", output)
    assert run(connection, run_id)["output"] == {"c": plain}


def test_a_batch_that_mixes_runs_and_steps_gives_each_task_its_own_input(connection: Connection) -> None:
    define(connection, "a", "m*", "b < a", "n* < a")
    run_ids = [start(connection, [f"{run_number}-{element}" for element in "xy"]) for run_number in (1, 2)]
    for number, run_id in enumerate(run_ids, 1):
        finish(connection, run_id, "a", [f"output {number}"])
    found = {(task["run_id"], task["step_slug"], task["task_index"]): task["input"] for task in claim(connection)}
    assert found == {
        (run_id, *key): task_input
        for number, run_id in enumerate(run_ids, 1)
        for key, task_input in {
            ("b", 0): {"a": [f"output {number}"]},
            ("n", 0): f"output {number}",
            ("m", 0): f"{number}-x",
            ("m", 1): f"{number}-y",
        }.items()
    }


def test_a_retried_task_gets_the_same_input_again(connection: Connection) -> None:
    define(connection, "m*")
    run_id = start(connection, ["x", "y"])
    first = given(connection, run_id, "m")
    fail(connection, run_id, "m", index=0)
    fail(connection, run_id, "m", index=1)
    assert given(connection, run_id, "m") == first
