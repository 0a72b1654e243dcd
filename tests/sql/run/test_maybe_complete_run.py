"""`maybe_complete_run`, called on its own: completes a run that has nothing left to do."""

from __future__ import annotations

import pytest

from sql.engine import (
    UNKNOWN,
    Connection,
    RunId,
    define,
    event_names,
    events,
    exhaust,
    finish,
    forget_events,
    run,
    snapshot,
    start,
    value,
)


def maybe_complete(connection: Connection, run_id: RunId) -> None:
    connection.execute("select pgflow.maybe_complete_run(run_id => %s)", (run_id,))


def skip(connection: Connection, run_id: RunId, step_slug: str) -> None:
    """Skip a step and all behind it, which by itself doesn't complete the run."""
    connection.execute("select pgflow._cascade_force_skip_steps(%s, %s, 'condition_unmet')", (run_id, step_slug))


def test_a_run_without_remaining_steps_is_completed(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    skip(connection, run_id, "a")
    maybe_complete(connection, run_id)
    completed = run(connection, run_id)
    assert (completed["status"], completed["failed_at"]) == ("completed", None)
    assert completed["completed_at"] >= completed["started_at"]


def test_its_output_is_that_of_the_completed_leaves(connection: Connection) -> None:
    define(connection, "a", "b", "c < b")
    run_id = start(connection)
    finish(connection, run_id, "a", 1)
    skip(connection, run_id, "b")
    maybe_complete(connection, run_id)
    assert run(connection, run_id)["output"] == {"a": 1}


def test_without_a_completed_leaf_the_output_is_null(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    finish(connection, run_id, "a", 1)
    skip(connection, run_id, "b")
    maybe_complete(connection, run_id)
    assert run(connection, run_id)["output"] is None


def test_its_event_has_the_output_and_the_time(recorded: Connection) -> None:
    define(recorded, "a", "b")
    run_id = start(recorded)
    finish(recorded, run_id, "a", 1)
    skip(recorded, run_id, "b")
    forget_events(recorded)
    maybe_complete(recorded, run_id)
    [sent] = events(recorded)
    payload = sent["payload"]
    assert (sent["event"], payload["event_type"], payload["flow_slug"]) == ("run:completed", "run:completed", "flow")
    assert (payload["run_id"], payload["status"], payload["output"]) == (str(run_id), "completed", {"a": 1})
    stored = run(recorded, run_id)["completed_at"]
    assert value(recorded, "select %s::timestamptz", payload["completed_at"]) == stored


def test_a_run_with_remaining_steps_does_not_change(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    before = snapshot(connection)
    maybe_complete(connection, run_id)
    assert snapshot(connection) == before


def test_a_completed_run_does_not_change(recorded: Connection) -> None:
    define(recorded, "a")
    run_id = start(recorded)
    finish(recorded, run_id, "a", 1)
    before = (snapshot(recorded), event_names(recorded))
    maybe_complete(recorded, run_id)
    assert (snapshot(recorded), event_names(recorded)) == before


def test_a_failed_run_does_not_change(recorded: Connection) -> None:
    define(recorded, "a", max_attempts=1)
    run_id = start(recorded)
    exhaust(recorded, run_id, "a")
    before = (snapshot(recorded), event_names(recorded))
    maybe_complete(recorded, run_id)
    assert (snapshot(recorded), event_names(recorded)) == before


@pytest.mark.breaks_invariants
def test_a_failed_run_without_remaining_steps_does_not_change_either(connection: Connection) -> None:
    define(connection, "a", max_attempts=1)
    run_id = start(connection)
    exhaust(connection, run_id, "a")
    connection.execute("update pgflow.runs set remaining_steps = 0")
    maybe_complete(connection, run_id)
    assert run(connection, run_id)["status"] == "failed"


def test_an_unknown_run_is_no_error(connection: Connection) -> None:
    maybe_complete(connection, UNKNOWN)
