"""When a run completes, and what its output is then."""

from __future__ import annotations

from typing import Any

import pytest

from sql.engine import (
    JSON_NULL,
    Connection,
    RunId,
    begin,
    define,
    event_names,
    exhaust,
    finish,
    run,
    snapshot,
    start,
    step,
)

SKIPPED = {"required_input_pattern": {"wanted": True}}


def maybe_complete(connection: Connection, run_id: RunId) -> None:
    connection.execute("select pgflow.maybe_complete_run(%s)", (run_id,))


@pytest.mark.feature("A5.20")
def test_the_run_completes_with_its_last_step(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    finish(connection, run_id, "a")
    assert (run(connection, run_id)["status"], run(connection, run_id)["remaining_steps"]) == ("started", 1)
    finish(connection, run_id, "b")
    ended = run(connection, run_id)
    assert (ended["status"], ended["remaining_steps"], ended["failed_at"]) == ("completed", 0, None)
    assert ended["completed_at"] >= ended["started_at"]


@pytest.mark.feature("A5.16")
def test_the_output_has_a_key_for_each_leaf(connection: Connection) -> None:
    define(connection, "a", "b < a", "c < a", "alone")
    run_id = start(connection)
    for slug in ("a", "b", "c", "alone"):
        finish(connection, run_id, slug, f"output of {slug}")
    assert run(connection, run_id)["output"] == {slug: f"output of {slug}" for slug in ("b", "c", "alone")}


@pytest.mark.parametrize("output", [False, 0, "", [], {}, "x", {"a": None}])
def test_the_output_of_a_leaf_is_kept_as_it_is(connection: Connection, output: Any) -> None:
    define(connection, "a")
    run_id = start(connection)
    finish(connection, run_id, "a", output)
    assert run(connection, run_id)["output"] == {"a": output}


@pytest.mark.parametrize("output", [None, JSON_NULL])
def test_a_leaf_without_output_has_a_key_with_null(connection: Connection, output: object) -> None:
    define(connection, "a")
    run_id = start(connection)
    finish(connection, run_id, "a", output)
    assert run(connection, run_id)["output"] == {"a": None}


def test_a_leaf_map_has_the_array_of_its_outputs(connection: Connection) -> None:
    define(connection, "m*")
    run_id = start(connection, [1, 2, 3])
    finish(connection, run_id, "m", "x", None, JSON_NULL)
    assert run(connection, run_id)["output"] == {"m": ["x", None, None]}


@pytest.mark.feature("A5.16")
def test_a_skipped_leaf_has_no_key(connection: Connection) -> None:
    define(connection, "a", step("b", **SKIPPED))
    run_id = start(connection)
    finish(connection, run_id, "a", 1)
    assert run(connection, run_id)["output"] == {"a": 1}


@pytest.mark.feature("A5.16")
def test_with_all_leaves_skipped_there_is_no_output_even_if_others_completed(connection: Connection) -> None:
    define(connection, "a", step("b < a", **SKIPPED), step("c < a", **SKIPPED))
    run_id = start(connection)
    finish(connection, run_id, "a", 1)
    assert (run(connection, run_id)["status"], run(connection, run_id)["output"]) == ("completed", None)


def test_a_failed_run_has_no_output_and_keeps_its_remaining_steps(connection: Connection) -> None:
    define(connection, "a", "b", "c < a b", max_attempts=1)
    run_id = start(connection)
    finish(connection, run_id, "a", 1)
    exhaust(connection, run_id, "b")
    ended = run(connection, run_id)
    assert (ended["status"], ended["output"], ended["remaining_steps"]) == ("failed", None, 2)
    assert ended["completed_at"] is None


def test_completing_a_run_again_changes_nothing(recorded: Connection) -> None:
    define(recorded, "a")
    run_id = start(recorded)
    finish(recorded, run_id, "a", 1)
    before, sent = snapshot(recorded), event_names(recorded)
    maybe_complete(recorded, run_id)
    assert (snapshot(recorded), event_names(recorded)) == (before, sent)


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("status", ["failed", "completed"])
def test_a_run_that_has_ended_is_not_completed_again_with_nothing_left(connection: Connection, status: str) -> None:
    define(connection, "a")
    run_id = start(connection)
    change = f"update pgflow.runs set status = '{status}', {status}_at = now(), remaining_steps = 0"
    connection.execute(change)
    before = snapshot(connection)
    maybe_complete(connection, run_id)
    assert snapshot(connection) == before


def test_several_runs_do_not_mix(connection: Connection) -> None:
    define(connection, "a", "b < a")
    first, second = start(connection, 1), start(connection, 2)
    finish(connection, first, "a", "first a")
    finish(connection, second, "a", "second a")
    [claimed] = begin(connection, second, "b")
    assert claimed["input"] == {"a": "second a"}
    finish(connection, first, "b", "first b")
    assert (run(connection, first)["output"], run(connection, second)["status"]) == ({"b": "first b"}, "started")
