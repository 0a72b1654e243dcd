"""`cascade_resolve_conditions`, called on its own: by operators, and by tests."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    UNKNOWN,
    Connection,
    RunId,
    as_json,
    define,
    event_names,
    exhaust,
    finish,
    forget_events,
    run,
    snapshot,
    start,
    statuses,
    step,
    value,
)


def resolve(connection: Connection, run_id: RunId) -> bool:
    return bool(value(connection, "select pgflow.cascade_resolve_conditions(run_id => %s)", run_id))


def make_unmet(connection: Connection, step_slug: str, when_unmet: str) -> None:
    """Give a step a condition after the run has begun."""
    query = "update pgflow.steps set required_input_pattern = %s, when_unmet = %s where step_slug = %s"
    connection.execute(query, (as_json({"never": True}), when_unmet, step_slug))


@pytest.fixture
def run_id(connection: Connection) -> UUID:
    """A run of a and b with c behind both, whose parents have ended by hand."""
    define(connection, "a", "b", "c < a b")
    run_id = start(connection, {})
    connection.execute("update pgflow.step_states set remaining_deps = 0 where step_slug = 'c'")
    return run_id


def test_a_run_without_conditions_does_not_change(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    before = snapshot(connection)
    assert resolve(connection, run_id) is True
    assert snapshot(connection) == before


@pytest.mark.breaks_invariants
def test_it_is_false_when_this_call_fails_the_run(connection: Connection, run_id: UUID) -> None:
    make_unmet(connection, "c", "fail")
    assert resolve(connection, run_id) is False
    assert run(connection, run_id)["status"] == "failed"


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("when_unmet", ["skip", "skip-cascade"])
def test_it_is_true_when_a_step_is_skipped(connection: Connection, run_id: UUID, when_unmet: str) -> None:
    make_unmet(connection, "c", when_unmet)
    assert resolve(connection, run_id) is True
    assert statuses(connection, run_id)["c"] == "skipped"


@pytest.mark.breaks_invariants
def test_it_neither_starts_steps_nor_completes_the_run(connection: Connection, run_id: UUID) -> None:
    make_unmet(connection, "c", "skip")
    resolve(connection, run_id)
    assert statuses(connection, run_id) == {"a": "started", "b": "started", "c": "skipped"}


@pytest.mark.breaks_invariants
def test_a_step_that_has_started_is_not_judged_again(connection: Connection, run_id: UUID) -> None:
    make_unmet(connection, "a", "fail")
    assert resolve(connection, run_id) is True
    assert statuses(connection, run_id)["a"] == "started"


def test_a_run_that_has_failed_before_gives_false_and_does_not_change(recorded: Connection) -> None:
    define(recorded, "a", step("b < a", required_input_pattern={"never": 1}), max_attempts=1)
    run_id = start(recorded)
    exhaust(recorded, run_id, "a")
    forget_events(recorded)
    before = snapshot(recorded)
    assert resolve(recorded, run_id) is False
    assert (snapshot(recorded), event_names(recorded)) == (before, [])


def test_a_completed_run_gives_true_and_does_not_change(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    finish(connection, run_id, "a")
    before = snapshot(connection)
    assert resolve(connection, run_id) is True
    assert snapshot(connection) == before


def test_an_unknown_run_gives_true(connection: Connection) -> None:
    assert resolve(connection, UNKNOWN) is True
