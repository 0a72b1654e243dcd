"""Runs with their steps as soon as they have ended, for who waits."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sql.engine import Connection, define, finish, rows, start, value


def read(connection: Connection, *run_ids: object) -> dict[UUID, Any]:
    found = rows(connection, "select * from pgflow.get_runs_if_ended(%s::uuid[])", list(run_ids))
    assert len({row["run_id"] for row in found}) == len(found)
    return {row["run_id"]: row["run_with_states"] for row in found}


def with_states(connection: Connection, run_id: UUID) -> Any:
    return value(connection, "select pgflow.get_run_with_states(%s)", run_id)


def test_only_what_has_ended_is_read(connection: Connection) -> None:
    define(connection, "a", "b < a")
    done, cancelled, going_on = start(connection), start(connection), start(connection)
    finish(connection, done, "a")
    finish(connection, done, "b")
    finish(connection, going_on, "a")
    connection.execute("select pgflow.cancel_runs(array[%s::uuid], 'enough')", (cancelled,))
    found = read(connection, done, cancelled, going_on)
    assert found == {
        done: with_states(connection, done),
        cancelled: with_states(connection, cancelled),
        going_on: None,
    }
    assert found[done]["run"]["status"] == "completed"
    assert found[cancelled]["run"]["cancel_reason"] == "enough"


def test_unknown_runs_and_null_have_no_row(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    assert read(connection, uuid4(), None, run_id) == {run_id: None}
    assert read(connection) == {}
    assert rows(connection, "select * from pgflow.get_runs_if_ended(null)") == []


def test_a_retried_run_goes_on(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    connection.execute("select pgflow.cancel_runs(array[%s::uuid])", (run_id,))
    connection.execute("select pgflow.retry_runs(array[%s::uuid])", (run_id,))
    assert read(connection, run_id) == {run_id: None}
