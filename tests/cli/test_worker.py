"""`pgflow worker`."""

from __future__ import annotations

import signal

import psycopg
import pytest

from pgflow import sync


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_with_0_when_it_is_asked_to(spawn, url, greeting_module, number):
    process = spawn("worker", "greeting_module:app", "--concurrency", 2, "--timeout", 5)
    for line in process.stderr:
        if line.startswith("worker runs"):
            break
    with sync.PgFlow(url) as client:
        client.start_flow_sync("greeting", "Ada", timeout=30)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "worker stops, 0 tasks to finish\nworker stopped\n")


def test_only_the_named_flows_are_worked(spawn, url, greeting_module):
    process = spawn("worker", "greeting_module:app", "--flow", "second")
    assert process.stderr.readline() == "flow second: compiled\n"
    assert process.stderr.readline() == "worker runs: second\n"
    with psycopg.connect(url) as connection:
        assert connection.execute("select flow_slug from pgflow.flows").fetchall() == [("second",)]


def test_a_flow_that_the_application_has_not_is_refused(pgflow, url, greeting_module):
    ended = pgflow("worker", "greeting_module:app", "--flow", "third")
    assert (ended.code, ended.errors) == (2, "pgflow: no flow 'third' in the application; flows: greeting, second\n")


def test_a_flow_that_differs_from_the_database_is_refused(pgflow, compiled, write_module):
    write_module(
        "changed_module",
        "from pgflow import Flow\nchanged = Flow('greeting')\n@changed.step\ndef other(a: int) -> int: return a\n",
    )
    ended = pgflow("worker", "changed_module:changed")
    assert ended.code == 2
    assert "pgflow: flow 'greeting' differs from the database: " in ended.errors


@pytest.mark.parametrize("option", [["--concurrency", "0"], ["--concurrency", "x"], ["--timeout", "-1"]])
def test_options_out_of_range_are_refused(pgflow, url, greeting_module, option):
    ended = pgflow("worker", "greeting_module:app", *option)
    assert ended.code == 2
    assert option[0] in ended.errors
