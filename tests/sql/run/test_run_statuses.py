"""The statuses of many runs in one call."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from sql.engine import Connection, define, finish, rows, start


def statuses(connection: Connection, *run_ids: object) -> dict[UUID, str]:
    found = rows(connection, "select * from pgflow.get_run_statuses(%s::uuid[])", list(run_ids))
    return {row["run_id"]: row["status"] for row in found}


@pytest.mark.feature("A2.10")
def test_each_run_is_told_with_its_status(connection: Connection) -> None:
    define(connection, "a")
    done, going_on = start(connection), start(connection)
    finish(connection, done, "a")
    assert statuses(connection, done, going_on) == {done: "completed", going_on: "started"}


def test_unknown_runs_and_null_have_no_row(connection: Connection) -> None:
    define(connection, "a")
    run_id = start(connection)
    assert statuses(connection, uuid4(), None, run_id, run_id) == {run_id: "started"}
    assert statuses(connection) == {}
