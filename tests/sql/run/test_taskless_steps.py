"""Maps over empty arrays complete in the call that makes them ready."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sql.engine import (
    Connection,
    begin,
    claim,
    define,
    event_names,
    finish,
    refused,
    run,
    start,
    start_run,
    state,
    statuses,
    step,
    tasks,
    value,
)


def chain(connection: Connection, length: int) -> list[str]:
    """Define a root map with maps behind it, each over the one before."""
    slugs = [f"m{index}" for index in range(length)]
    define(connection, "m0*", *(f"{slug}* < {parent}" for parent, slug in pairwise(slugs)))
    return slugs


@pytest.mark.feature("A5.10")
def test_a_root_map_over_nothing_completes_with_an_empty_array(recorded: Connection) -> None:
    define(recorded, "m*")
    started = start_run(recorded, [])
    completed = state(recorded, started["run_id"], "m")
    assert (started["status"], started["output"]) == ("completed", {"m": []})
    assert (completed["status"], completed["output"], completed["remaining_tasks"]) == ("completed", [], 0)
    assert completed["started_at"] == completed["completed_at"]
    assert tasks(recorded, started["run_id"]) == []
    assert event_names(recorded) == ["run:started", "step:m:completed", "run:completed"]


@pytest.mark.feature("A5.10")
def test_a_chain_of_maps_over_nothing_completes_in_one_call(connection: Connection) -> None:
    slugs = chain(connection, 5)
    started = start_run(connection, [])
    assert statuses(connection, started["run_id"]) == dict.fromkeys(slugs, "completed")
    assert (started["status"], started["output"]) == ("completed", {"m4": []})


def test_49_maps_over_nothing_complete_in_one_call(connection: Connection) -> None:
    chain(connection, 49)
    started = start_run(connection, [])
    assert (started["status"], started["output"]) == ("completed", {"m48": []})


@pytest.mark.feature("A5.10")
def test_51_maps_over_nothing_are_refused_and_leave_no_run(connection: Connection) -> None:
    chain(connection, 51)
    with refused(connection, "P0001", "Cascade loop exceeded safety limit of 50 iterations"):
        start(connection, [])
    assert value(connection, "select count(*) from pgflow.runs") == 0


def test_51_maps_over_something_start(connection: Connection) -> None:
    chain(connection, 51)
    assert start_run(connection, [1])["status"] == "started"


def test_single_children_of_a_map_over_nothing_start(connection: Connection) -> None:
    define(connection, "m*", "a < m", "b < m")
    start(connection, [])
    found = [(claimed["step_slug"], claimed["input"], claimed["flow_input"]) for claimed in claim(connection)]
    assert found == [("a", {"m": []}, None), ("b", {"m": []}, None)]


def test_two_maps_over_nothing_start_their_child_once(connection: Connection) -> None:
    define(connection, "m*", "n*", "a < m n")
    run_id = start(connection, [])
    assert (state(connection, run_id, "a")["status"], state(connection, run_id, "a")["remaining_deps"]) == (
        "started",
        0,
    )
    assert len(tasks(connection, run_id, "a")) == 1


def test_a_condition_behind_a_map_over_nothing_is_looked_at_before_the_step_starts(connection: Connection) -> None:
    define(connection, "m*", step("a < m", required_input_pattern={"m": [1]}), step("b < m", when_unmet="fail"))
    run_id = start(connection, [])
    assert statuses(connection, run_id) == {"m": "completed", "a": "skipped", "b": "started"}


def test_a_condition_that_fails_behind_a_map_over_nothing_fails_the_run(connection: Connection) -> None:
    unmet = {"required_input_pattern": {"m": [1]}, "when_unmet": "fail"}
    define(connection, "m*", step("a < m", **unmet), "b < m")
    run_id = start(connection, [])
    assert statuses(connection, run_id) == {"m": "completed", "a": "failed", "b": "created"}
    assert run(connection, run_id)["status"] == "failed"


def test_a_map_over_nothing_with_an_unmet_condition_is_skipped(connection: Connection) -> None:
    define(connection, step("m*", required_input_pattern={"x": 1}), "a < m")
    run_id = start(connection, [])
    assert statuses(connection, run_id) == {"m": "skipped", "a": "started"}


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_step_with_another_parent_waits_for_it(connection: Connection, first: str) -> None:
    define(connection, "a", "b", "m* < a", "c < m b")
    run_id = start(connection)
    finish(connection, run_id, first, [])
    assert state(connection, run_id, "c")["status"] == "created"
    finish(connection, run_id, "b" if first == "a" else "a", [])
    assert [claimed["input"] for claimed in begin(connection, run_id, "c")] == [{"m": [], "b": []}]


def test_an_empty_output_completes_a_map_and_the_maps_behind_it_in_the_same_call(connection: Connection) -> None:
    define(connection, "a", "m* < a", "n* < m")
    run_id = start(connection)
    finish(connection, run_id, "a", [])
    assert statuses(connection, run_id) == {"a": "completed", "m": "completed", "n": "completed"}
    assert run(connection, run_id)["output"] == {"n": []}
