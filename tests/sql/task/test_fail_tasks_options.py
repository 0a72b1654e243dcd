"""What a report of `fail_tasks` can say beyond the error: that it is final, or when to try again."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from sql.engine import (
    Connection,
    begin,
    define,
    live,
    run,
    start,
    statuses,
    step,
    task,
    tasks,
    value,
)


def begin_run(connection: Connection, *step_slugs: str) -> UUID:
    run_id = start(connection)
    for step_slug in step_slugs:
        begin(connection, run_id, step_slug)
    return run_id


def report(
    connection: Connection,
    run_id: UUID,
    *step_slugs: str,
    final: Sequence[bool | None] | None = None,
    delays: Sequence[int | None] | None = None,
) -> list[int]:
    """Report the first task of each step as failed; the positions of the reports that counted."""
    count = len(step_slugs)
    query = """
        select pgflow.fail_tasks(
          %s::uuid[], %s::text[], %s::int[], %s::text[], %s::int[],
          p_final => %s::boolean[], p_retry_delays => %s::int[]
        )
    """
    parameters = [run_id] * count, list(step_slugs), [0] * count, ["boom"] * count, [None] * count
    options = [None if option is None else list(option) for option in (final, delays)]
    return sorted(value(connection, query, *parameters, *options))


def seconds(connection: Connection) -> list[object]:
    return [pytest.approx(found["seconds"], abs=3) for found in live(connection)]


def test_a_final_failure_is_not_retried(connection: Connection) -> None:
    define(connection, "a", max_attempts=10)
    run_id = begin_run(connection, "a")
    assert report(connection, run_id, "a", final=[True]) == [1]
    assert (task(connection, run_id, "a")["status"], run(connection, run_id)["status"]) == ("failed", "failed")


@pytest.mark.parametrize("final", [[False], [None], None])
def test_a_failure_that_is_not_final_is_retried(connection: Connection, final: list[bool | None] | None) -> None:
    define(connection, "a")
    run_id = begin_run(connection, "a")
    report(connection, run_id, "a", final=final)
    assert task(connection, run_id, "a")["status"] == "queued"


def test_a_final_failure_follows_the_policy_of_its_step(connection: Connection) -> None:
    define(connection, step("a", when_exhausted="skip"), "b < a")
    run_id = begin_run(connection, "a")
    report(connection, run_id, "a", final=[True])
    assert statuses(connection, run_id) == {"a": "skipped", "b": "started"}


def test_each_report_is_final_or_not_by_itself(connection: Connection) -> None:
    define(connection, step("a", when_exhausted="skip"), "b", step("c", when_exhausted="skip"))
    run_id = begin_run(connection, "a", "b", "c")
    report(connection, run_id, "a", "b", "c", final=[True, False, True])
    assert [found["status"] for found in tasks(connection, run_id)] == ["failed", "queued", "failed"]


def test_a_final_report_of_another_attempt_changes_nothing(connection: Connection) -> None:
    define(connection, "a")
    run_id = begin_run(connection, "a")
    query = "select pgflow.fail_tasks(array[%s::uuid], array['a'], array[0], array['boom'], array[7], array[true])"
    assert value(connection, query, run_id) == []
    assert task(connection, run_id, "a")["status"] == "started"


def test_a_retry_delay_takes_the_place_of_the_formula(connection: Connection) -> None:
    define(connection, "a", base_delay=10)
    report(connection, begin_run(connection, "a"), "a", delays=[500])
    assert seconds(connection) == [500]


def test_without_a_retry_delay_the_formula_counts(connection: Connection) -> None:
    define(connection, "a", base_delay=50)
    report(connection, begin_run(connection, "a"), "a", delays=[None])
    assert seconds(connection) == [100]


def test_each_report_has_its_own_retry_delay(connection: Connection) -> None:
    define(connection, "a", "b", "c", base_delay=50)
    report(connection, begin_run(connection, "a", "b", "c"), "c", "a", "b", delays=[300, None, 200])
    assert seconds(connection) == [100, 200, 300]


@pytest.mark.parametrize("delay", [0, -5])
def test_no_retry_delay_makes_the_task_visible_at_once(connection: Connection, delay: int) -> None:
    define(connection, "a", base_delay=50)
    report(connection, begin_run(connection, "a"), "a", delays=[delay])
    assert seconds(connection) == [0]


def test_a_retry_delay_gives_no_further_attempt(connection: Connection) -> None:
    define(connection, "a", max_attempts=1)
    run_id = begin_run(connection, "a")
    report(connection, run_id, "a", delays=[5])
    assert run(connection, run_id)["status"] == "failed"


def test_a_final_failure_with_a_retry_delay_is_final(connection: Connection) -> None:
    define(connection, "a")
    run_id = begin_run(connection, "a")
    report(connection, run_id, "a", final=[True], delays=[5])
    assert (run(connection, run_id)["status"], live(connection)) == ("failed", [])
