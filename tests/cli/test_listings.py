"""`pgflow runs`, `pgflow flows` and `pgflow workers`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from client.workbench import Workbench
from pgflow import sync


@pytest.fixture
def session(compiled: str) -> Any:
    with psycopg.connect(compiled, autocommit=True) as connection:
        connection.execute("delete from pgflow.workers")
        yield connection


@pytest.fixture
def three_runs(pgflow, session) -> list[str]:
    """Ids of runs, oldest first: one that failed, and two that go on, the last of them of another flow."""
    ids = [pgflow("start", "greeting").output.strip()]
    Workbench(session).fail("boom")
    return [*ids, pgflow("start", "greeting").output.strip(), pgflow("start", "second").output.strip()]


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_runs_are_listed_newest_first(pgflow, three_runs):
    ended = pgflow("runs")
    title, *rows = lines(ended.output)
    assert (ended.code, ended.errors) == (0, "")
    assert title == ["run_id", "flow", "status", "left", "age", "took"]
    assert [row[:3] for row in rows] == [
        [three_runs[2], "second", "started"],
        [three_runs[1], "greeting", "started"],
        [three_runs[0], "greeting", "failed"],
    ]
    assert (rows[1][3], len(rows[1]), len(rows[2])) == ("1", 5, 5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--status", "failed"], [0]),
        (["--status", "failed", "--status", "started"], [2, 1, 0]),
        (["--flow", "second"], [2]),
        (["--flow", "second", "--flow", "greeting", "--status", "started"], [2, 1]),
        (["--since", "1h"], [2, 1, 0]),
        (["--since", "2000-01-01"], [2, 1, 0]),
        (["--since", "2999-01-01T10:00:00+00:00"], []),
        (["--limit", "2"], [2, 1]),
    ],
)
def test_runs_are_filtered(pgflow, three_runs, options, expected):
    ended = pgflow("runs", "--json", *options)
    assert [json.loads(line)["run_id"] for line in ended.output.splitlines()] == [three_runs[n] for n in expected]
    assert ended.code == 0


def test_runs_are_filtered_by_tags(pgflow, compiled):
    with sync.PgFlow(compiled) as client:
        one = client.start_flow("second", 1, tags=["red", "big"])
        client.start_flow("second", 1, tags="red")
    assert len(pgflow("runs", "--tag", "red", "--json").output.splitlines()) == 2
    (only,) = pgflow("runs", "--tag", "red", "--tag", "big", "--json").output.splitlines()
    assert json.loads(only)["run_id"] == str(one.run_id)
    assert pgflow("run", one.run_id).output.splitlines()[1].startswith("tags big, red")


def test_a_run_as_json_has_the_names_of_its_columns(pgflow, three_runs):
    first = json.loads(pgflow("runs", "--json").output.splitlines()[0])
    assert {"run_id", "flow_slug", "status", "input", "output", "remaining_steps", "started_at"} <= set(first)


def test_more_runs_than_shown_are_hinted_at_and_not_among_the_results(pgflow, three_runs):
    ended = pgflow("runs", "--limit", "2")
    assert (len(lines(ended.output)), ended.errors) == (3, "there are more; --limit 10 shows them\n")
    assert pgflow("runs", "--limit", "3").errors == ""


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("command", ["runs", "flows", "workers"])
def test_nothing_to_list_is_said_aside(pgflow, url, command, options):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("delete from pgflow.workers")
    ended = pgflow(command, *options)
    assert (ended.code, ended.output) == (0, "")
    assert ended.errors.startswith(f"no {command}")
    assert ended.errors.count("\n") == 1


def test_no_runs_because_of_the_filters_is_said_so(pgflow, compiled):
    assert pgflow("runs", "--flow", "greeting").errors == "no runs like that\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--status", "gone"], "no run has status 'gone'; statuses: started, completed, failed"),
        (["--since", "yesterday"], "--since is a date like 2025-01-31 or 2025-01-31T09:30, or how long ago like 2h"),
        (["--since", ""], "--since is a date"),
        (["--since", "99999999999d"], "--since is"),
        (["--flow", "a\0b"], "a flow slug can't contain NUL characters"),
    ],
)
def test_filters_that_cannot_be_are_refused(pgflow, url, options, message):
    ended = pgflow("runs", *options)
    assert (ended.code, ended.output) == (2, "")
    assert message in ended.errors
    assert ended.errors.count("\n") == 1


def test_flows_are_listed_with_their_options(pgflow, compiled):
    title, first, second = lines(pgflow("flows").output)
    assert title == ["flow", "type", "steps", "attempts", "delay", "timeout", "registered"]
    assert first[:6] == ["greeting", "flow", "1", "1", "0s", "60s"]
    assert second[:6] == ["second", "flow", "1", "3", "1s", "60s"]


def test_a_flow_as_json_has_the_names_of_its_columns_and_its_steps(pgflow, compiled):
    first = json.loads(pgflow("flows", "--json").output.splitlines()[0])
    assert (first["flow_slug"], first["opt_max_attempts"], first["opt_base_delay"]) == ("greeting", 1, 0)
    assert [(step["step_slug"], step["dependencies"]) for step in first["steps"]] == [("greet", [])]


def test_workers_are_listed_with_what_they_work_and_how_they_are(pgflow, session):
    ids = [Workbench(session, flow).worker_id for flow in ("greeting", "greeting", "second", "second")]
    for worker_id, change in zip(
        ids[1:],
        [
            "deprecated_at = clock_timestamp()",
            "last_heartbeat_at = clock_timestamp() - interval '1 hour'",
            "stopped_at = now()",
        ],
        strict=True,
    ):
        session.execute(f"update pgflow.workers set {change} where worker_id = %s", (worker_id,))
    title, *rows = lines(pgflow("workers").output)
    assert title == ["status", "flow", "name", "heard", "age", "worker_id"]
    assert sorted(row[:3] for row in rows) == [
        ["alive", "greeting", "workbench"],
        ["deprecated", "greeting", "workbench"],
        ["stale", "second", "workbench"],
    ]
    assert rows[-1][3] == "1h00m"
    assert len(lines(pgflow("workers", "--all").output)) == 5
    (only,) = map(json.loads, pgflow("workers", "--flow", "second", "--json").output.splitlines())
    assert (only["worker_id"], only["queue_name"], only["status"]) == (str(ids[2]), "second", "stale")
    ended = pgflow("workers", "--limit", "1")
    assert (len(lines(ended.output)), ended.errors) == (2, "there are more; --limit 5 shows them\n")


def test_a_name_of_a_worker_does_not_reach_the_terminal_as_it_is(pgflow, session):
    session.execute("select pgflow.register_worker(%s, 'second', %s)", (uuid4(), "evil\x1b[2J"))
    assert "\x1b" not in pgflow("workers").output


@pytest.mark.parametrize("command", [["runs"], ["flows"], ["workers", "--all"], ["runs", "--json"]])
def test_a_reader_that_leaves_early_is_no_disaster(three_runs, folder, command):
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [sys.executable, "-m", "pgflow", *command], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert process.communicate(timeout=30)[1] == ""


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_pipe_gets_no_colours(run_process, three_runs, variables):
    ended = run_process("runs", **variables)
    assert "\x1b" not in ended.output + ended.errors
    assert three_runs[0] in ended.output


def test_ages_do_not_become_negative_when_clocks_differ(pgflow, three_runs, session):
    session.execute("update pgflow.runs set started_at = now() + interval '1 hour' where run_id = %s", (three_runs[2],))
    assert lines(pgflow("runs").output)[1][4] == "0ms"
