"""list_runs, count_runs: what they find, and how little they read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from sql.engine import Connection, as_json, define, row, rows, start, value

RUNS = 2000


@pytest.fixture
def many_runs(connection: Connection) -> Iterator[Connection]:
    """Many runs of two flows, a second apart; every hundredth says that it has failed."""
    with connection.transaction(force_rollback=True):
        for flow in ("one", "other"):
            define(connection, "a", flow=flow)
            inputs = [as_json(number) for number in range(1, RUNS + 1)]
            connection.execute("select count(*) from pgflow.start_flows(%s, %s)", (flow, inputs))
        connection.execute("""
            update pgflow.runs
            set started_at = started_at - make_interval(secs => input::int),
                status = case when input::int % 100 = 0 then 'failed' else 'started' end
        """)
        yield connection


def rows_read(connection: Connection) -> int:
    """Return how many rows of runs this transaction has read so far."""
    return value(
        connection,
        "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables"
        " where relname = 'runs'",
    )


@pytest.mark.parametrize(
    ("filters", "read"),
    [
        ("", 100),
        ("p_flow_slugs => array['one']", 50),
        ("p_statuses => array['failed']", 40),
        ("p_flow_slugs => array['other'], p_statuses => array['failed']", 20),
        ("p_since => pgflow._now() - interval '10 s'", 20),
        ("p_until => pgflow._now() - interval '1990 s'", 40),
    ],
)
def test_a_page_is_read_from_the_index(many_runs: Connection, filters: str, read: int) -> None:
    before = rows_read(many_runs)
    connection = many_runs
    found = rows(connection, f"select * from pgflow.list_runs({filters})")
    assert found
    assert rows_read(connection) - before <= 2 * read


def test_a_page_far_behind_costs_no_more_than_the_first(many_runs: Connection) -> None:
    place = row(many_runs, "select started_at, run_id from pgflow.runs where flow_slug = 'one' and input = '1500'")
    before = rows_read(many_runs)
    found = rows(
        many_runs,
        "select input from pgflow.list_runs("
        "array['one'], p_limit => 10, p_after_started_at => %s, p_after_run_id => %s)",
        *place.values(),
    )
    assert [each["input"] for each in found] == list(range(1501, 1511))
    assert rows_read(many_runs) - before <= 30


def test_all_runs_are_listed_without_a_limit(many_runs: Connection) -> None:
    assert value(many_runs, "select count(*) from pgflow.list_runs(p_limit => null)") == 2 * RUNS
    assert value(many_runs, "select pgflow.count_runs()") == 2 * RUNS


def test_every_status_of_a_run_is_listed(connection: Connection) -> None:
    """The statuses in the function are those of the constraint."""
    constraint = value(
        connection,
        "select pg_get_constraintdef(oid) from pg_constraint"
        " where conrelid = 'pgflow.runs'::regclass and conname = 'status_is_valid'",
    )
    source = value(connection, "select prosrc from pg_proc where oid = 'pgflow.list_runs'::regproc")
    assert re.findall(r"'(\w+)'::text", constraint) == re.findall(
        r"'(\w+)'", source.split("p_statuses, array[")[1].split("]")[0]
    )


@pytest.mark.parametrize("argument", ["p_flow_slugs => '{}'", "p_statuses => '{}'", "p_limit => 0"])
def test_nothing_is_listed_where_nothing_is_asked_for(connection: Connection, argument: str) -> None:
    define(connection, "a")
    start(connection)
    assert rows(connection, f"select * from pgflow.list_runs({argument})") == []


def test_runs_of_the_same_time_are_in_the_order_of_their_ids(connection: Connection) -> None:
    define(connection, "a")
    started: list[Any] = [start(connection) for _ in range(9)]
    found = [each["run_id"] for each in rows(connection, "select run_id from pgflow.list_runs()")]
    assert found == sorted(started, reverse=True)
