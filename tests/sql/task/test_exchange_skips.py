"""What `exchange_tasks` tells about steps that it has skipped."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sql.engine import Connection, begin, define, row, start, step, value

REASONS = {"unmet": "condition_unmet", "exhausted": "handler_failed", "behind": "dependency_skipped"}


def define_skippable(connection: Connection) -> None:
    """Define a flow with a step that is skipped for each of the reasons, once `first` or `exhausted` has ended."""
    define(
        connection,
        "first",
        step("unmet < first", required_input_pattern={"first": {"value": 2}}, when_unmet="skip"),
        step("exhausted", max_attempts=1, when_exhausted="skip-cascade"),
        "behind < exhausted",
    )


def exchange(connection: Connection, *outcomes: tuple[UUID, str, str | None, str | None]) -> dict[str, Any]:
    """Report tasks, each with run, step, output as JSON and error; no new tasks are wanted."""
    run_ids, step_slugs, outputs, errors = (list(column) for column in zip(*outcomes, strict=True))
    count = len(outcomes)
    return row(
        connection,
        """
        select recorded, skipped_steps from pgflow.exchange_tasks(
          %s::uuid[], %s::text[], %s::int[], %s::int[], %s::text[]::jsonb[], %s::text[], %s::boolean[], %s::int[],
          '{}', '{}', 0
        )
        """,
        *(run_ids, step_slugs, [0] * count, [1] * count, outputs, errors, [False] * count, [None] * count),
    )


def skips(connection: Connection, *outcomes: tuple[UUID, str, str | None, str | None]) -> set[tuple[Any, ...]]:
    told = exchange(connection, *outcomes)["skipped_steps"] or []
    found = {(UUID(skip["run_id"]), skip["flow_slug"], skip["step_slug"], skip["skip_reason"]) for skip in told}
    assert len(found) == len(told)
    return found


def begin_run(connection: Connection) -> UUID:
    run_id = start(connection)
    for step_slug in ("first", "exhausted"):
        begin(connection, run_id, step_slug)
    return run_id


def test_steps_skipped_by_completions_and_failures_are_told_once(connection: Connection) -> None:
    define_skippable(connection)
    run_ids = [begin_run(connection) for _ in range(2)]
    outcomes = [
        outcome
        for run_id in run_ids
        for outcome in ((run_id, "first", '{"value": 1}', None), (run_id, "exhausted", None, "boom"))
    ]
    expected = {(run_id, "flow", slug, reason) for run_id in run_ids for slug, reason in REASONS.items()}
    assert skips(connection, *outcomes) == expected
    assert skips(connection, *outcomes) == set()


def test_nothing_is_told_where_no_step_is_skipped(connection: Connection) -> None:
    define_skippable(connection)
    run_id = begin_run(connection)
    assert exchange(connection, (run_id, "first", '{"value": 2}', None)) == {"recorded": [1], "skipped_steps": None}


def test_what_an_earlier_exchange_of_the_transaction_skipped_is_not_told_again(connection: Connection) -> None:
    define_skippable(connection)
    run_id = begin_run(connection)
    assert skips(connection, (run_id, "exhausted", None, "boom")) == {
        (run_id, "flow", "exhausted", "handler_failed"),
        (run_id, "flow", "behind", "dependency_skipped"),
    }
    assert skips(connection, (run_id, "first", '{"value": 1}', None)) == {(run_id, "flow", "unmet", "condition_unmet")}


def test_nothing_is_noted_for_others_that_skip_steps(connection: Connection) -> None:
    define_skippable(connection)
    run_id = begin_run(connection)
    value(connection, "select (pgflow.fail_task(%s, 'exhausted', 0, 'boom')).status", run_id)
    assert value(connection, "select nullif(current_setting('pgflow.skipped_steps', true), '')") is None
