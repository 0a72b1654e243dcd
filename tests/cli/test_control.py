"""`pgflow cancel` and `pgflow retry`."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import UUID

import psycopg
import pytest

from client.workbench import Workbench

MISSING = str(UUID(int=7))


class Terminal(io.TextIOWrapper):
    """Standard input when somebody is there."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def session(compiled: str) -> Any:
    with psycopg.connect(compiled, autocommit=True) as connection:
        yield connection


@pytest.fixture
def run_id(pgflow, compiled) -> str:
    return pgflow("start", "greeting").output.strip()


def status(pgflow, run_id: str) -> str:
    return pgflow("run", run_id, "--json").json["status"]


def test_a_run_is_cancelled_and_says_why(pgflow, run_id):
    ended = pgflow("cancel", run_id, "--reason", "wrong person")
    assert (ended.code, ended.output, ended.errors) == (0, f"{run_id}  cancelled\n", "")
    shown = pgflow("run", run_id)
    assert shown.output.splitlines()[0].split()[:2] == ["greeting", "cancelled"]
    assert "cancelled: wrong person" in shown.output
    assert "cancelled" in pgflow("runs").output
    assert pgflow("cancel", run_id).output == f"{run_id}  already_cancelled\n"


def test_watching_a_run_that_was_cancelled_ends_with_1(pgflow, run_id):
    pgflow("cancel", run_id, "--reason", "wrong person")
    ended = pgflow("run", run_id, "--watch")
    assert ended.code == 1
    assert "was cancelled" in ended.errors


def test_a_run_that_failed_goes_on(pgflow, session, run_id):
    Workbench(session).fail("boom")
    assert status(pgflow, run_id) == "failed"
    assert pgflow("retry", run_id).output == f"{run_id}  retried\n"
    assert pgflow("retry", run_id).output == f"{run_id}  running\n"
    Workbench(session).complete("done")
    assert pgflow("retry", run_id, "--json").json == {"run_id": run_id, "outcome": "completed"}
    assert pgflow("cancel", run_id).output == f"{run_id}  ended\n"


def test_ids_come_from_standard_input(pgflow, session):
    runs = [pgflow("start", "second").output.strip() for _ in range(3)]
    ended = pgflow("cancel", runs[0], "-", "--json", stdin="\n".join(runs))
    told = [json.loads(line) for line in ended.output.splitlines()]
    assert {line["run_id"]: line["outcome"] for line in told} == dict.fromkeys(runs, "cancelled")
    assert len(told) == 3


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_nothing_on_standard_input_is_nothing_to_do(pgflow, url, command):
    ended = pgflow(command, "-", stdin="\n")
    assert (ended.code, ended.output, ended.errors) == (0, "", f"no runs to {command}\n")


@pytest.mark.parametrize("command", ["cancel", "retry"])
def test_a_run_that_is_not_there_does_not_keep_others_from_it(pgflow, session, run_id, command):
    Workbench(session).fail("boom")
    ended = pgflow(command, MISSING, run_id)
    assert (ended.code, ended.errors) == (2, f"pgflow: no run {MISSING}; `pgflow runs` lists those there are\n")
    assert ended.output.startswith(run_id)
    assert pgflow(command, MISSING, "--json").json == {"run_id": MISSING, "outcome": "not_found"}


@pytest.mark.parametrize("command", ["cancel", "retry"])
@pytest.mark.parametrize("word", ["x", "läuft", "123"])
def test_what_is_no_id_is_said_before_anything_is_done(pgflow, run_id, command, word):
    ended = pgflow(command, run_id, word)
    assert (ended.code, ended.output, ended.errors) == (
        2,
        "",
        f"pgflow: no run {word}; `pgflow runs` lists those there are\n",
    )
    assert status(pgflow, run_id) == "started"


@pytest.mark.parametrize("reason", ["a\0b", "x" * 10_001])
def test_a_reason_that_cannot_be_is_refused(pgflow, run_id, reason):
    ended = pgflow("cancel", run_id, "--reason", reason)
    assert (ended.code, ended.output, ended.errors.count("\n")) == (2, "", 1)
    assert status(pgflow, run_id) == "started"


def test_more_runs_than_go_into_one_transaction_are_told_of_once_each(pgflow, url):
    ids = [str(UUID(int=n)) for n in range(1, 1_002)]
    ended = pgflow("cancel", "-", "--json", stdin=" ".join(ids))
    assert [json.loads(line)["run_id"] for line in ended.output.splitlines()] == ids
    assert " and 998 more" in ended.errors


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 2, "started"), ("y\n", 0, "failed")])
def test_many_on_a_terminal_are_asked_about(pgflow, run_id, monkeypatch, answer, code, left):
    second = pgflow("start", "second").output.strip()
    monkeypatch.setattr("io.TextIOWrapper", Terminal)
    ended = pgflow("cancel", run_id, second, stdin=answer)
    assert (ended.code, "cancel 2 runs?" in ended.errors) == (code, True)
    assert status(pgflow, run_id) == left
    monkeypatch.undo()
