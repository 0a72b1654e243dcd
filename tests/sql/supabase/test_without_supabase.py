"""A plain PostgreSQL: everything works with none of the platform's schemas, and realtime counts once it is there."""

from __future__ import annotations

import pytest

from pgflow import schema
from sql.engine import (
    Connection,
    claim,
    complete,
    connect,
    define,
    event_names,
    finish,
    record_events,
    refused,
    rows,
    run,
    snapshot,
    start,
    value,
)


def test_none_of_the_schemas_is_needed_for_installation_and_a_whole_run(empty_database_url: str) -> None:
    with connect(empty_database_url) as connection:
        schema.migrate(connection)
        there = "select nspname from pg_namespace where nspname in ('realtime', 'vault', 'net', 'cron')"
        assert rows(connection, there) == []
        define(connection, "urls", "pages* < urls", "report < pages")
        run_id = start(connection, {"site": "example.org"})
        for output in (["a", "b"], {"length": 1}, "done"):
            for task in claim(connection):
                complete(connection, run_id, task["step_slug"], output, task["task_index"])
        found = run(connection, run_id)
        assert (found["status"], found["output"]) == ("completed", {"report": "done"})


def test_realtime_is_used_from_the_moment_it_is_there(connection: Connection) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    finish(connection, run_id, "a")
    record_events(connection)
    finish(connection, run_id, "b")
    assert event_names(connection) == ["step:b:completed", "run:completed"]


def test_realtime_is_not_missed_when_it_is_gone(recorded: Connection) -> None:
    define(recorded, "a")
    run_id = start(recorded)
    recorded.execute("drop schema realtime cascade")
    finish(recorded, run_id, "a")
    assert run(recorded, run_id)["status"] == "completed"


def test_a_send_with_other_parameters_is_not_used(connection: Connection) -> None:
    connection.execute("create schema realtime")
    connection.execute("create function realtime.send(text) returns void language sql as 'select 1 / 0'")
    define(connection, "a")
    assert run(connection, start(connection))["status"] == "started"


@pytest.mark.parametrize("call", ["start_flow('flow', '1')", "complete_task(%s, 'a', 0, '1')"])
def test_an_error_of_realtime_undoes_the_whole_call(connection: Connection, call: str) -> None:
    define(connection, "a", "b < a")
    run_id = start(connection)
    claim(connection)
    record_events(connection)
    connection.execute("alter table realtime.messages add constraint offline check (false)")
    before = snapshot(connection)
    with refused(connection, "23514", "offline"):
        value(connection, f"select count(*) from pgflow.{call}", *([run_id] if "%s" in call else []))
    assert snapshot(connection) == before
