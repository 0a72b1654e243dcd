"""What a call reads doesn't grow with what it doesn't need."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from sql.engine import Connection, RunId, claim, complete, complete_batch, define, fail, finish, run, start, value

TABLES = ("runs", "step_states", "step_tasks")


def rows_read(connection: Connection, call: Callable[[], object]) -> int:
    """Return how many rows of runs, states and tasks a call reads, by whatever plan."""
    # Other tests have filled and emptied these tables, and plans follow the statistics.
    for table in TABLES:
        connection.execute(f"analyze pgflow.{table}")
    query = """
        select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int from pg_stat_xact_user_tables
        where schemaname = 'pgflow' and relname = any (%s)
    """
    before = value(connection, query, list(TABLES))
    call()
    return int(value(connection, query, list(TABLES)) - before)


def start_map(connection: Connection, size: int, flow: str) -> RunId:
    """Start a run with a dependent map of this size, and its first ten tasks."""
    define(connection, "a", "m* < a", "b < m", flow=flow)
    run_id = start(connection, flow=flow)
    finish(connection, run_id, "a", [0] * size)
    claim(connection, flow, 10)
    return run_id


@pytest.fixture
def small_and_large(connection: Connection) -> tuple[RunId, RunId]:
    """Two runs with a map of 20 and of 1,000 elements, of which ten tasks have started."""
    return start_map(connection, 20, "small"), start_map(connection, 1000, "large")


def complete_ten(connection: Connection, run_id: RunId) -> object:
    return complete_batch(connection, *((run_id, "m", index, None, 1) for index in range(10)))


def start_ten(connection: Connection, run_id: RunId) -> object:
    return claim(connection, run(connection, run_id)["flow_slug"], 10)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda connection, run_id: complete(connection, run_id, "m"), id="completing a task"),
        pytest.param(lambda connection, run_id: fail(connection, run_id, "m"), id="failing a task"),
        pytest.param(complete_ten, id="completing ten tasks"),
        pytest.param(start_ten, id="starting ten tasks"),
    ],
)
def test_a_large_map_costs_no_more_rows_than_a_small_one(
    connection: Connection, small_and_large: tuple[RunId, RunId], call: Callable[[Connection, RunId], object]
) -> None:
    small, large = (rows_read(connection, partial(call, connection, run_id)) for run_id in small_and_large)
    assert large <= small + 5


def test_a_batch_reads_less_per_task_than_single_calls(
    connection: Connection, small_and_large: tuple[RunId, RunId]
) -> None:
    _, large = small_and_large
    single = rows_read(connection, lambda: complete(connection, large, "m", None, 9))
    batch = rows_read(
        connection, lambda: complete_batch(connection, *((large, "m", index, None, 1) for index in range(9)))
    )
    assert batch < 9 * single
