"""`retry_runs` takes back the skips that followed from a failure, and keeps those that something has counted on."""

from __future__ import annotations

from uuid import UUID

from sql.control import counters, failed_run, retry
from sql.engine import (
    Connection,
    Row,
    define,
    exhaust,
    fetch,
    finish,
    run,
    start,
    state,
    statuses,
    step,
)


def skipped_and_failed(connection: Connection, *steps: str | Row, finishing: str | None = None) -> UUID:
    """Exhaust step s, which is skipped, finish another one maybe, and fail the run by step a."""
    define(connection, *steps, max_attempts=1)
    run_id = start(connection, {})
    exhaust(connection, run_id, "s")
    if finishing:
        finish(connection, run_id, finishing, 1)
    exhaust(connection, run_id, "a")
    assert run(connection, run_id)["status"] == "failed"
    return run_id


def test_an_exhausted_step_is_tried_again_with_what_was_skipped_for_it(connection: Connection) -> None:
    run_id = skipped_and_failed(connection, step("s", when_exhausted="skip-cascade"), "t < s", "m* < t", "a")
    retry(connection, run_id)
    assert statuses(connection, run_id) == {"s": "started", "t": "created", "m": "created", "a": "started"}
    assert counters(connection, run_id, "t") == (1, None, 1)
    assert counters(connection, run_id, "m") == (1, None, None)
    assert run(connection, run_id)["remaining_steps"] == 4
    finish(connection, run_id, "s", 1)
    finish(connection, run_id, "t", [7])
    finish(connection, run_id, "m", 8)
    finish(connection, run_id, "a", 9)
    assert run(connection, run_id)["output"] == {"m": [8], "a": 9}


def test_a_leaf_that_was_skipped_alone_is_tried_again(connection: Connection) -> None:
    run_id = skipped_and_failed(connection, step("s", when_exhausted="skip"), "a")
    retry(connection, run_id)
    assert statuses(connection, run_id) == {"s": "started", "a": "started"}


def test_a_skip_that_something_has_counted_on_stays(connection: Connection) -> None:
    run_id = skipped_and_failed(connection, step("s", when_exhausted="skip"), "t < s", "a", finishing="t")
    retry(connection, run_id)
    assert statuses(connection, run_id) == {"s": "skipped", "t": "completed", "a": "started"}
    assert counters(connection, run_id, "t")[0] == 0


def test_the_step_that_failed_behind_a_skip_has_counted_on_it(connection: Connection) -> None:
    run_id = skipped_and_failed(connection, step("s", when_exhausted="skip"), "a < s")
    retry(connection, run_id)
    assert statuses(connection, run_id) == {"s": "skipped", "a": "started"}
    assert fetch(connection)[0]["input"] == {}


def test_an_empty_map_behind_a_skip_has_counted_on_it(connection: Connection) -> None:
    run_id = skipped_and_failed(connection, step("s", when_exhausted="skip"), "m* < s", "a")
    assert state(connection, run_id, "m")["status"] == "completed"
    retry(connection, run_id)
    assert statuses(connection, run_id) == {"s": "skipped", "m": "completed", "a": "started"}


def test_a_child_that_still_waits_for_another_parent_waits_for_the_skipped_one_again(connection: Connection) -> None:
    run_id = skipped_and_failed(connection, step("s", when_exhausted="skip"), "a", "t < s a")
    assert counters(connection, run_id, "t")[0] == 1
    retry(connection, run_id)
    assert counters(connection, run_id, "t")[0] == 2
    finish(connection, run_id, "a", 1)
    assert state(connection, run_id, "t")["status"] == "created"
    finish(connection, run_id, "s", 2)
    assert fetch(connection)[0]["input"] == {"a": 1, "s": 2}


def test_an_unmet_condition_stays_unmet(connection: Connection) -> None:
    unmet = step("u", required_input_pattern={"is": "there"}, when_unmet="skip-cascade")
    run_id = failed_run(connection, unmet, "v < u", "a", "b < a")
    before = state(connection, run_id, "u"), state(connection, run_id, "v")
    retry(connection, run_id)
    assert (state(connection, run_id, "u"), state(connection, run_id, "v")) == before
    finish(connection, run_id, "a")
    finish(connection, run_id, "b", 1)
    assert run(connection, run_id)["output"] == {"b": 1}


def test_a_condition_on_what_an_exhausted_step_would_have_given_is_tested_again(connection: Connection) -> None:
    conditional = step("c < s", required_input_pattern={"s": {"go": True}})
    run_id = skipped_and_failed(connection, step("s", when_exhausted="skip"), conditional, "a")
    assert state(connection, run_id, "c")["skip_reason"] == "condition_unmet"
    retry(connection, run_id)
    assert statuses(connection, run_id)["c"] == "created"
    finish(connection, run_id, "s", {"go": True})
    assert statuses(connection, run_id)["c"] == "started"


def test_what_a_kept_cascade_has_skipped_stays_skipped(connection: Connection) -> None:
    unmet = step("u", required_input_pattern={"is": "there"}, when_unmet="skip-cascade")
    cascading = step("s", when_exhausted="skip-cascade")
    run_id = skipped_and_failed(connection, unmet, cascading, "both < u s", "t < s", "a")
    retry(connection, run_id)
    assert statuses(connection, run_id) == {
        "u": "skipped", "s": "started", "both": "skipped", "t": "created", "a": "started"
    }  # fmt: skip
    finish(connection, run_id, "s")
    finish(connection, run_id, "t", 1)
    finish(connection, run_id, "a", 2)
    assert run(connection, run_id)["output"] == {"t": 1, "a": 2}


def test_what_an_operator_has_skipped_stays_skipped(connection: Connection) -> None:
    define(connection, "o", "p < o", "a", max_attempts=1)
    run_id = start(connection)
    connection.execute("select pgflow._cascade_force_skip_steps(%s, 'o', 'by hand')", (run_id,))
    exhaust(connection, run_id, "a")
    retry(connection, run_id)
    assert statuses(connection, run_id) == {"o": "skipped", "p": "skipped", "a": "started"}
    assert run(connection, run_id)["remaining_steps"] == 1


def test_a_condition_that_failed_the_run_is_tested_when_the_step_before_it_has_been_tried_again(
    connection: Connection,
) -> None:
    failing = step("f < s", required_input_pattern={"s": 1}, when_unmet="fail")
    define(connection, step("s", when_exhausted="skip"), failing, "m* < s", max_attempts=1)
    run_id = start(connection)
    exhaust(connection, run_id, "s")
    assert statuses(connection, run_id) == {"s": "skipped", "f": "failed", "m": "created"}
    retry(connection, run_id)
    assert statuses(connection, run_id) == {"s": "started", "f": "created", "m": "created"}
    assert counters(connection, run_id, "m") == (1, None, None)
    finish(connection, run_id, "s", [1])
    assert run(connection, run_id)["status"] == "failed"
