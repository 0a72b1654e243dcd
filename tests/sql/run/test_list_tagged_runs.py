"""Listings by tags and lookups by keys: what they find, and how little they read among 200,000 runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from servers import Server
from sql.engine import Connection, as_json, connect, define, finish, rows, set_clock, value

LABELLED = """
    insert into pgflow.runs (run_id, flow_slug, status, input, started_at, completed_at)
    select md5('run' || n)::uuid, 'flow', made.status, to_jsonb(n), started_at,
      case made.status when 'completed' then started_at end
    from generate_series(1, 200000) as n,
    lateral (select case when n % 2 = 0 then 'started' else 'completed' end as status,
      timestamptz '2020-01-01' + make_interval(secs => n) as started_at) as made;
    insert into pgflow.run_tags (run_id, tag, started_at)
    select r.run_id, tag, r.started_at
    from pgflow.runs r
    cross join lateral unnest(array['all', 'in ' || (r.input::int % 100)]) as tag;
    insert into pgflow.run_keys (flow_slug, key, run_id)
    select 'flow', 'order ' || (r.input::int), r.run_id from pgflow.runs r;
"""
TABLES = ("runs", "run_tags", "run_keys")


def start(connection: Connection, run_input: object, *tags: str, flow: str = "flow") -> UUID:
    query = "select run_id from pgflow.start_runs(%s, array[%s::jsonb], p_tags => %s::text[])"
    run_id = value(connection, query, flow, as_json(run_input), list(tags))
    assert isinstance(run_id, UUID)
    return run_id


def listed(connection: Connection, arguments: str, *parameters: object) -> list[object]:
    return [found["input"] for found in rows(connection, f"select * from pgflow.list_runs({arguments})", *parameters)]


@pytest.fixture
def tagged(connection: Connection) -> Connection:
    """Runs of two flows, a day apart, the oldest with the lowest number."""
    for flow in ("one", "other"):
        define(connection, "a", flow=flow)
    for number, tags in enumerate([("x",), ("x", "y"), ("y",), (), ("y", "x", "z")]):
        set_clock(connection, f"2020-01-0{number + 1} 00:00:00+00")
        run_id = start(connection, number, *tags, flow="one" if number < 4 else "other")
        if number == 1:
            finish(connection, run_id, "a")
    return connection


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("p_tags => array['x']", [4, 1, 0]),
        ("p_tags => array['x', 'y']", [4, 1]),
        ("p_tags => array['y', 'x', 'y']", [4, 1]),
        ("p_tags => array['x', 'y', 'z']", [4]),
        ("p_tags => array['x', 'unknown']", []),
        ("p_tags => array['X']", []),
        ("p_tags => '{}'", [4, 3, 2, 1, 0]),
        ("p_tags => null", [4, 3, 2, 1, 0]),
        ("array['one'], p_tags => array['x']", [1, 0]),
        ("p_statuses => array['completed'], p_tags => array['x']", [1]),
        ("p_statuses => '{}', p_tags => array['x']", []),
        ("p_flow_slugs => '{}', p_tags => array['x']", []),
        ("p_since => '2020-01-02 00:00:00+00', p_tags => array['x']", [4, 1]),
        ("p_until => '2020-01-02 00:00:00+00', p_tags => array['x']", [0]),
        ("p_input_contains => '4', p_tags => array['x']", [4]),
    ],
)
def test_runs_that_have_all_tags_are_listed_newest_first(tagged: Connection, filters: str, expected: list[int]) -> None:
    assert listed(tagged, filters) == expected
    assert value(tagged, f"select pgflow.count_runs({filters})") == len(expected)


def test_pages_of_a_tag_join(tagged: Connection) -> None:
    found: list[object] = []
    place: tuple[datetime | None, UUID | None] = (None, None)
    arguments = "p_tags => array['x'], p_limit => 1, p_after_started_at => %s::timestamptz, p_after_run_id => %s::uuid"
    while page := rows(tagged, f"select * from pgflow.list_runs({arguments})", *place):
        found.append(page[0]["input"])
        place = page[0]["started_at"], page[0]["run_id"]
    assert found == [4, 1, 0]


def test_runs_of_the_same_time_are_in_the_order_of_their_ids(connection: Connection) -> None:
    define(connection, "a")
    started = [start(connection, 1, "x") for _ in range(9)]
    found = rows(connection, "select run_id from pgflow.list_runs(p_tags => array['x'])")
    assert [each["run_id"] for each in found] == sorted(started, reverse=True)


# How little they read


@pytest.fixture(scope="module", params=["analyzed", "never_analyzed"])
def many_runs(newest_server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database with 200,000 runs, each with a key and two tags."""
    name = newest_server.create_database(newest_server.template())
    with connect(newest_server.url(name, "postgres"), autocommit=True) as superuser:
        define(superuser, "a")
        for table in TABLES:
            superuser.execute(f"alter table pgflow.{table} set (autovacuum_enabled = off)")
        with superuser.transaction():
            superuser.execute("set local session_replication_role = replica")
            for statement in LABELLED.split(";")[:-1]:
                superuser.execute(statement)
        if request.param == "analyzed":
            superuser.execute("vacuum analyze")
    yield newest_server.url(name, "postgres")
    newest_server.drop_database(name)


def read(connection: Connection) -> int:
    """Return how many rows of runs, tags and keys this transaction has read so far."""
    query = """
        select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables
        where schemaname = 'pgflow' and relname = any (%s)
    """
    return int(value(connection, query, list(TABLES)) or 0)


@pytest.mark.parametrize(
    ("query", "most"),
    [
        ("select * from pgflow.list_runs(p_tags => array['all'], p_limit => 20)", 100),
        ("select * from pgflow.list_runs(p_tags => array['in 7'], p_limit => 20)", 100),
        ("select * from pgflow.list_runs(p_tags => array['in 7', 'all'], p_limit => 20)", 120),
        ("select * from pgflow.list_runs(array['flow'], p_tags => array['all'], p_limit => 20)", 100),
        ("select * from pgflow.list_runs(p_tags => array['all'], p_statuses => array['started'], p_limit => 20)", 200),
        ("select * from pgflow.list_runs(p_tags => array['all'], p_until => '2020-01-02', p_limit => 20)", 100),
        ("select * from pgflow.list_runs(p_tags => array['unknown'])", 20),
        ("select pgflow.count_runs(p_tags => array['in 7'])", 4100),
        ("select pgflow.count_runs(p_tags => array['in 7', 'all'])", 6100),
        ("select * from pgflow.get_run_by_key('flow', 'order 4711')", 4),
        ("select * from pgflow.start_runs('flow', array['1'::jsonb], array['order 4711'])", 12),
        ("select pgflow.get_run_tags(md5('run7')::uuid)", 4),
    ],
)
def test_a_list_reads_no_more_than_it_must(many_runs: str, query: str, most: int) -> None:
    with connect(many_runs) as connection:
        connection.execute(query)  # planning looks at the ends of indexes, once
        before = read(connection)
        found: list[Any] = rows(connection, query)
        assert bool(found) == ("unknown" not in query)
        assert read(connection) - before <= most
