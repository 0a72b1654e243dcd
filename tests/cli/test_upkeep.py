"""`pgflow prune` and `pgflow recover`."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import typer

from client.workbench import Workbench
from pgflow.cli import upkeep
from pgflow.cli.arguments import read_age
from pgflow.errors import InvalidInput

AGE_RUNS = """
update pgflow.runs
set started_at = started_at - interval '40 days', failed_at = failed_at - interval '40 days'
"""
NOTHING = dict.fromkeys(("deleted_runs", "deleted_step_states", "deleted_step_tasks", "deleted_messages"), 0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def old_run(pgflow, compiled) -> Any:
    """A run that failed forty days ago, beside one that goes on, in a database that is connected to."""
    with psycopg.connect(compiled, autocommit=True) as connection:
        pgflow("start", "greeting")
        Workbench(connection).fail("boom")
        pgflow("start", "second")
        connection.execute(AGE_RUNS)
        connection.execute("delete from pgflow.workers")
        yield connection


def runs_in(connection: psycopg.Connection[Any]) -> int:
    return connection.execute("select count(*) from pgflow.runs").fetchone()[0]


@pytest.mark.feature("A2.12")
def test_old_runs_are_deleted_with_all_that_belongs_to_them(pgflow, old_run):
    ended = pgflow("prune", "--older-than", "30d", "--yes")
    assert (ended.code, ended.output) == (0, "deleted 1 run, 1 step, 1 task, 0 messages, 0 workers\n")
    assert runs_in(old_run) == 1
    assert pgflow("prune", "--older-than", "30d", "--yes").output.startswith("deleted 0 runs, 0 steps")


@pytest.mark.feature("A2.12")
@pytest.mark.parametrize(
    ("options", "count"),
    [(["--older-than", "41d"], 0), (["--older-than", "1w", "--flow", "second"], 0), (["--older-than", "12h"], 1)],
)
def test_what_would_be_deleted_is_told_and_left(pgflow, old_run, options, count):
    ended = pgflow("prune", *options, "--dry-run", "--json")
    assert (ended.code, ended.json["deleted_runs"]) == (0, count)
    assert pgflow("prune", *options, "--dry-run").output.startswith(f"would delete {count} run")
    assert runs_in(old_run) == 2


def test_pruning_is_told_as_json(pgflow, old_run):
    deleted = pgflow("prune", "--older-than", "30d", "--yes", "--json").json
    assert deleted == {**NOTHING, "deleted_runs": 1, "deleted_step_states": 1, "deleted_step_tasks": 1} | {
        "deleted_workers": 0
    }


def test_nobody_to_be_asked_deletes_nothing(pgflow, old_run):
    ended = pgflow("prune", "--older-than", "30d")
    assert (ended.code, ended.output) == (2, "")
    assert "delete 1 run, 1 step" in ended.errors
    assert ended.errors.endswith("nobody is there to be asked; add --yes\n")
    assert runs_in(old_run) == 2


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_whoever_is_there_is_asked(monkeypatch, answer, goes_on):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    if goes_on:
        upkeep.confirm("delete all?")
    else:
        with pytest.raises(typer.Exit):
            upkeep.confirm("delete all?")


@pytest.mark.feature("A2.14")
def test_stalled_tasks_are_put_back(pgflow, compiled):
    with psycopg.connect(compiled, autocommit=True) as connection:
        pgflow("start", "greeting")
        Workbench(connection).fetch()
        connection.execute("""
            update pgflow.step_tasks
            set queued_at = queued_at - interval '100 s', started_at = started_at - interval '100 s'
        """)
    assert pgflow("recover", "--buffer", "1m").output == "put back 0 tasks\n"
    assert pgflow("recover").output == "put back 1 task\n"
    assert pgflow("recover", "--json").json == {"recovered_count": 0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", timedelta(days=30)),
        ("1.5h", timedelta(hours=1.5)),
        ("1h30m", timedelta(minutes=90)),
        (" 2W ", timedelta(weeks=2)),
        ("0s", timedelta(0)),
    ],
)
def test_an_age_is_numbers_with_units(text, expected):
    assert read_age(text, "--x") == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1 d", "1y", "nan", "infd", "1e5d", "\0", "9" * 400 + "d"])
def test_what_is_no_age_is_refused(text):
    with pytest.raises(InvalidInput, match="--x is"):
        read_age(text, "--x")


@pytest.mark.parametrize("text", ["30", "x", "99999999d"])
def test_an_age_that_cannot_be_is_one_line(pgflow, url, text):
    ended = pgflow("prune", "--older-than", text, "--yes")
    assert (ended.code, ended.output, ended.errors.count("\n")) == (2, "", 1)
