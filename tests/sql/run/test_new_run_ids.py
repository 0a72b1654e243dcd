"""Ids of runs are unique, can't be guessed, and grow with time."""

from __future__ import annotations

from sql.engine import Connection, define, start, value


def test_run_ids_are_version_7_and_carry_the_time(connection: Connection) -> None:
    define(connection, "a")
    before = value(connection, "select floor(extract(epoch from clock_timestamp()) * 1000)")
    run_id = start(connection)
    assert (run_id.version, run_id.variant) == (7, "specified in RFC 4122")
    assert 0 <= (run_id.int >> 80) - int(before) < 10_000


def test_a_thousand_ids_are_different_and_in_order(connection: Connection) -> None:
    ids = value(connection, "select pgflow._new_run_ids(1000)")
    assert len(set(ids)) == 1000
    times = [run_id.int >> 80 for run_id in ids]
    assert times == sorted(times)
