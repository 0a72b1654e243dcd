"""`get_flow_input` and `get_step_output`: one value of a run."""

from __future__ import annotations

from typing import Any

import pytest

from sql.engine import (
    JSON_NULL,
    UNKNOWN,
    Connection,
    RunId,
    begin,
    complete,
    define,
    exhaust,
    finish,
    start,
    step,
    value,
)

FALSY = [0, False, "", [], {}, JSON_NULL]


def flow_input(connection: Connection, run_id: RunId) -> Any:
    return value(connection, "select pgflow.get_flow_input(%s)", run_id)


def step_output(connection: Connection, run_id: RunId, step_slug: str) -> Any:
    return value(connection, "select pgflow.get_step_output(%s, %s)", run_id, step_slug)


@pytest.mark.parametrize("given", [*FALSY, {"key": [1, None]}, "text"])
def test_the_input_of_a_run_is_returned_as_it_was_given(connection: Connection, given: object) -> None:
    define(connection, "a")
    assert flow_input(connection, start(connection, given)) == given


def test_an_unknown_run_has_no_input(connection: Connection) -> None:
    assert flow_input(connection, UNKNOWN) is None


@pytest.mark.parametrize("output", [*FALSY, {"key": [1, None]}, "text"])
def test_the_output_of_a_step_is_returned_as_it_was_reported(connection: Connection, output: object) -> None:
    define(connection, "a")
    run_id = start(connection)
    finish(connection, run_id, "a", output)
    assert step_output(connection, run_id, "a") == output


def test_the_output_of_a_map_is_the_array_of_its_tasks(connection: Connection) -> None:
    define(connection, "m*")
    run_id = start(connection, [1, 2])
    finish(connection, run_id, "m", "x", "y")
    assert step_output(connection, run_id, "m") == ["x", "y"]


def test_a_map_has_no_output_before_its_last_task(connection: Connection) -> None:
    define(connection, "m*")
    run_id = start(connection, [1, 2])
    begin(connection, run_id, "m")
    complete(connection, run_id, "m", "x")
    assert step_output(connection, run_id, "m") is None


def test_a_failed_step_has_no_output(connection: Connection) -> None:
    define(connection, "a", max_attempts=1)
    run_id = start(connection)
    exhaust(connection, run_id, "a")
    assert step_output(connection, run_id, "a") is None


def test_a_skipped_step_has_no_output(connection: Connection) -> None:
    define(connection, step("a", required_input_pattern={"x": 1}))
    assert step_output(connection, start(connection), "a") is None


def test_unknown_steps_and_runs_have_no_output(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    assert [step_output(connection, run_id, "b"), step_output(connection, UNKNOWN, "a")] == [None, None]
