"""A batch with a report for an earlier attempt besides the one for the present attempt, which alone counts."""

from __future__ import annotations

import pytest

from sql.engine import Connection, RunId, begin, complete_batch, define, fail, fail_batch, run, start, task

ORDERS = [pytest.param(1, id="stale first"), pytest.param(-1, id="present first")]


@pytest.fixture
def second_attempt(connection: Connection) -> RunId:
    """A run whose step `a` is in its second attempt of two."""
    define(connection, "a", max_attempts=2, base_delay=0)
    run_id = start(connection)
    begin(connection, run_id, "a")
    fail(connection, run_id, "a")
    begin(connection, run_id, "a")
    return run_id


@pytest.mark.parametrize("order", ORDERS)
def test_a_stale_output_does_not_hide_the_present_one(
    connection: Connection, second_attempt: RunId, order: int
) -> None:
    reports = [(second_attempt, "a", 0, "stale", 1), (second_attempt, "a", 0, "present", 2)][::order]
    assert len(complete_batch(connection, *reports)) == 1
    assert run(connection, second_attempt)["output"] == {"a": "present"}


@pytest.mark.parametrize("order", ORDERS)
def test_a_stale_error_does_not_hide_the_present_one(connection: Connection, second_attempt: RunId, order: int) -> None:
    reports = [(second_attempt, "a", 0, "stale", 1), (second_attempt, "a", 0, "present", 2)][::order]
    assert len(fail_batch(connection, *reports)) == 1
    assert task(connection, second_attempt, "a")["error_message"] == "present"
    assert run(connection, second_attempt)["status"] == "failed"


@pytest.mark.parametrize("order", ORDERS)
def test_a_stale_violation_does_not_fail_the_run(connection: Connection, order: int) -> None:
    define(connection, "a", "m* < a", base_delay=0)
    run_id = start(connection)
    begin(connection, run_id, "a")
    fail(connection, run_id, "a")
    begin(connection, run_id, "a")
    reports = [(run_id, "a", 0, "stale", 1), (run_id, "a", 0, [], 2)][::order]
    assert len(complete_batch(connection, *reports)) == 1
    assert run(connection, run_id)["status"] == "completed"
