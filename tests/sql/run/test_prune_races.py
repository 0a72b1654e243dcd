"""Pruning meets late reports, runs that are being started, and another pruning, each on a connection of its own."""

from __future__ import annotations

from uuid import UUID

import pytest

from sql.engine import (
    Connection,
    Row,
    RunId,
    claim,
    connect,
    define,
    finish,
    rows,
    start,
    start_run,
    value,
)
from sql.sessions import sessions, wait_until_blocked


def completed_run(url: str) -> UUID:
    """Define a flow of the step a in a database and complete a run of it, in a transaction of its own."""
    with connect(url) as connection:
        define(connection, "a")
        run_id = start(connection)
        finish(connection, run_id, "a")
        return run_id


def report_again(connection: Connection, run_id: RunId, call: str) -> list[Row]:
    """Report the task of step a once more, as a worker that is late does, and keep the transaction open."""
    return rows(connection, f"select * from pgflow.{call}(%s, 'a', 0, '\"late\"')", run_id)


def prune_all(connection: Connection) -> int:
    """Prune all runs that ended before this transaction, and return their number."""
    deleted = value(connection, "select deleted_runs from pgflow.prune_data_older_than('0 seconds', null)")
    assert isinstance(deleted, int)
    return deleted


def run_ids(connection: Connection) -> list[UUID]:
    return [found["run_id"] for found in rows(connection, "select run_id from pgflow.runs")]


@pytest.mark.parametrize("call", ["complete_task", "fail_task"])
def test_pruning_waits_for_a_late_report(database_url: str, call: str) -> None:
    run_id = completed_run(database_url)
    with sessions(database_url, 3) as (reporting, pruning, observing):
        assert report_again(reporting.connection, run_id, call)[0]["status"] == "completed"
        deleted = pruning.in_background(prune_all)
        wait_until_blocked(observing.connection, pruning, reporting, deleted)
        reporting.connection.commit()
        assert deleted.result() == 1
        pruning.connection.commit()
        for table in ("runs", "step_states", "step_tasks"):
            assert rows(observing.connection, f"select from pgflow.{table}") == []


@pytest.mark.parametrize("call", ["complete_task", "fail_task"])
def test_a_late_report_waits_for_pruning_and_finds_nothing(database_url: str, call: str) -> None:
    run_id = completed_run(database_url)
    with sessions(database_url, 3) as (pruning, reporting, observing):
        assert prune_all(pruning.connection) == 1
        report = reporting.in_background(report_again, run_id, call)
        wait_until_blocked(observing.connection, reporting, pruning, report)
        pruning.connection.commit()
        assert report.result() == []


def test_starting_a_run_does_not_wait_for_pruning(database_url: str) -> None:
    completed_run(database_url)
    with sessions(database_url) as (pruning, starting):
        assert prune_all(pruning.connection) == 1
        starting.connection.execute("set lock_timeout = '1ms'")
        started = start(starting.connection)
        starting.connection.commit()
        pruning.connection.commit()
        assert run_ids(starting.connection) == [started]
        assert [task["run_id"] for task in claim(starting.connection)] == [started]
        starting.connection.commit()


def test_pruning_does_not_wait_for_a_run_that_is_being_started(database_url: str) -> None:
    completed_run(database_url)
    with sessions(database_url) as (starting, pruning):
        started = start(starting.connection)
        pruning.connection.execute("set lock_timeout = '1ms'")
        assert prune_all(pruning.connection) == 1
        pruning.connection.commit()
        starting.connection.commit()
        assert run_ids(starting.connection) == [started]


def test_the_id_of_a_run_that_is_being_pruned_can_be_used_again(database_url: str) -> None:
    run_id = completed_run(database_url)
    with sessions(database_url, 3) as (pruning, starting, observing):
        assert prune_all(pruning.connection) == 1
        started = starting.in_background(start_run, run_id=run_id)
        wait_until_blocked(observing.connection, starting, pruning, started)
        pruning.connection.commit()
        assert started.result()["status"] == "started"
        starting.connection.commit()


def test_two_prunings_at_once_delete_everything_once(database_url: str) -> None:
    completed_run(database_url)
    with sessions(database_url, 3) as (first, second, observing):
        assert prune_all(first.connection) == 1
        deleted = second.in_background(prune_all)
        wait_until_blocked(observing.connection, second, first, deleted)
        first.connection.commit()
        assert deleted.result() == 0
        second.connection.commit()
