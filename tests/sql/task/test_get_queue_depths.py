"""`get_queue_depths` counts what waits for a worker, and what comes later."""

from __future__ import annotations

import pytest

from sql.engine import Connection, Row, begin, define, rows, start


def depths(connection: Connection, *flow_slugs: str) -> list[Row]:
    return rows(connection, "select * from pgflow.get_queue_depths(%s::text[])", list(flow_slugs))


def test_messages_that_wait_are_told_from_those_that_run_or_come_later(connection: Connection) -> None:
    define(connection, "a*", "b")
    run_id = start(connection, [1, 2])
    begin(connection, run_id, "b")
    connection.execute("update pgmq.q_flow set vt = vt - interval '1 minute' where vt < now() + interval '1 s'")
    (found,) = depths(connection, "flow")
    assert (found["flow_slug"], found["visible_count"], found["delayed_count"]) == ("flow", 2, 1)
    assert found["oldest_seconds"] == pytest.approx(60, abs=5)


def test_an_empty_queue_has_nothing_old(connection: Connection) -> None:
    define(connection, "a")
    assert depths(connection, "flow") == [
        {"flow_slug": "flow", "visible_count": 0, "delayed_count": 0, "oldest_seconds": None}
    ]


def test_flows_have_a_row_each_and_unknown_ones_have_none(connection: Connection) -> None:
    define(connection, "a", flow="Second")
    define(connection, "a", flow="first")
    found = depths(connection, "first", "Second", "unknown", "first")
    assert sorted(each["flow_slug"] for each in found) == ["Second", "first"]


def test_nobody_counts_for_ever(connection: Connection) -> None:
    define(connection, "a*")
    start(connection, list(range(10_100)))
    assert depths(connection, "flow")[0]["visible_count"] == 10_000


def test_no_flows_give_no_rows(connection: Connection) -> None:
    assert depths(connection) == []
