"""`count_data_older_than` counts what `prune_data_older_than` deletes, and changes nothing."""

from __future__ import annotations

import pytest

from sql.engine import Connection, begin, define, finish, live, register, row, set_clock, start, value

COUNT = "select * from pgflow.count_data_older_than(%s, %s::text[])"
PRUNE = "select * from pgflow.prune_data_older_than(%s, %s::text[], 1000)"


def counted(connection: Connection, flows: list[str] | None = None, retention: str = "30 days") -> list[int]:
    return list(row(connection, COUNT, retention, flows).values())


def pruned(connection: Connection, flows: list[str] | None = None, retention: str = "30 days") -> list[int]:
    return list(row(connection, PRUNE, retention, flows).values())


@pytest.fixture
def history(connection: Connection) -> Connection:
    """Runs of two flows that ended long ago, one of which left a message in its queue, and one that goes on."""
    for flow in ("flow", "other"):
        define(connection, "a", "b*", flow=flow)
        run_id = start(connection, [1, 2], flow=flow)
        finish(connection, run_id, "a", 1)
        finish(connection, run_id, "b", 1, 2)
    failed = start(connection, [1], flow="other")
    connection.execute("update pgflow.runs set status = 'failed', failed_at = started_at where run_id = %s", (failed,))
    begin(connection, start(connection, []), "a")
    set_clock(connection, value(connection, "select (pgflow._now() + interval '40 days')::text"))
    return connection


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("flows", [None, ["flow"], ["other"], ["flow", "other"], [], ["unknown"]])
def test_what_is_counted_is_what_pruning_deletes(history: Connection, flows: list[str] | None) -> None:
    expected = counted(history, flows)
    assert (sum(expected) > 0) == (flows not in ([], ["unknown"]))
    assert pruned(history, flows) == expected


@pytest.mark.breaks_invariants
def test_counting_deletes_nothing(history: Connection) -> None:
    before = [value(history, "select count(*) from pgflow.runs"), len(live(history)), counted(history)]
    assert [value(history, "select count(*) from pgflow.runs"), len(live(history)), counted(history)] == before


@pytest.mark.breaks_invariants
def test_nothing_is_old_enough(history: Connection) -> None:
    assert counted(history, retention="41 days")[:3] == [0, 0, 0]


def test_a_flow_whose_queue_was_dropped_is_counted_without_messages(connection: Connection) -> None:
    define(connection, "a")
    finish(connection, start(connection), "a", 1)
    connection.execute("select pgmq.drop_queue('flow')")
    set_clock(connection, value(connection, "select (pgflow._now() + interval '40 days')::text"))
    assert counted(connection) == [1, 1, 1, 1, 0]


def test_an_empty_database_has_nothing_old(connection: Connection) -> None:
    register(connection)
    connection.execute("delete from pgflow.workers")
    assert counted(connection) == [0, 0, 0, 0, 0]
