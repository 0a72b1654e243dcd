"""What an exchange costs: each row is changed once, and looked up as often as is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from sql.engine import Connection, Report, connect, define, exchange, start, value

CHANGES = "select pg_stat_get_xact_tuples_updated(%s::regclass)"
LOOKUPS = "select pg_stat_get_xact_numscans(%s::regclass)"
TABLES = ("runs", "step_states", "step_tasks")
KEYS = ("runs_pkey", "step_states_pkey", "step_tasks_pkey", "step_tasks_by_message")
RUNS = 10


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection to a private database: references of rows that a transaction has made itself are always checked."""
    with connect(database_url) as connection:
        yield connection


def counted(connection: Connection, query: str, names: tuple[str, ...], work: Callable[[], object]) -> dict[str, int]:
    """What this work adds to the counters of the transaction."""

    def counters() -> dict[str, int]:
        return {name: int(value(connection, query, f"pgflow.{name}")) for name in names}

    before = counters()
    work()
    return {name: count - before[name] for name, count in counters().items()}


def started(connection: Connection, step_slug: str) -> list[Report]:
    """Start runs and their first tasks; the reports that complete these."""
    run_ids: list[UUID] = [start(connection, number) for number in range(RUNS)]
    exchange(connection)
    connection.commit()
    return [(run_id, step_slug, 0, 1, 1) for run_id in run_ids]


def test_a_report_changes_its_task_its_step_and_its_run_once(connection: Connection) -> None:
    define(connection, "only")
    reports = started(connection, "only")
    reported = counted(connection, CHANGES, TABLES, lambda: exchange(connection, reports, limit=0))
    assert reported == {"runs": RUNS, "step_states": RUNS, "step_tasks": RUNS}


def test_a_step_that_a_report_makes_ready_is_started_by_its_only_change(connection: Connection) -> None:
    define(connection, "a", "b < a", "c < b")
    reports = started(connection, "a")
    changed = counted(connection, CHANGES, TABLES, lambda: exchange(connection, reports))
    assert changed == {"runs": RUNS, "step_states": 2 * RUNS, "step_tasks": RUNS}


@pytest.mark.parametrize("batch", [1, RUNS])
def test_a_reported_job_is_looked_up_by_its_keys_a_few_times(connection: Connection, batch: int) -> None:
    define(connection, "only")
    reports = started(connection, "only")[:batch]
    looked_up = counted(connection, LOOKUPS, KEYS, lambda: exchange(connection, reports, limit=0))
    # A run to lock and to complete it; a state to complete its task and for the output of the run; a task to lock it.
    assert looked_up == {
        "runs_pkey": 2 * batch,
        "step_states_pkey": 2 * batch,
        "step_tasks_pkey": batch,
        "step_tasks_by_message": 0,
    }


def test_a_fetched_job_is_looked_up_once(connection: Connection) -> None:
    define(connection, "only")
    for number in range(RUNS):
        start(connection, number)
    connection.commit()
    looked_up = counted(connection, LOOKUPS, KEYS, lambda: exchange(connection))
    assert looked_up == {
        "runs_pkey": RUNS,
        "step_states_pkey": RUNS,
        "step_tasks_pkey": 0,
        "step_tasks_by_message": RUNS,
    }


def test_the_run_and_the_step_of_a_map_are_looked_up_once_per_batch(connection: Connection) -> None:
    define(connection, "each*")
    start(connection, list(range(50)))
    connection.commit()
    looked_up = counted(connection, LOOKUPS, KEYS, lambda: exchange(connection))
    assert looked_up["step_tasks_by_message"] == 50
    assert looked_up["runs_pkey"] + looked_up["step_states_pkey"] < 10
