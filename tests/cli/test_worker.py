"""`pgflow worker`."""

from __future__ import annotations

import json
import signal
import socket

import httpx
import psycopg
import pytest

from pgflow import sync


def message(line: str) -> str:
    """The message of a line of a log in JSON."""
    return str(json.loads(line)["message"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_ends_with_0_when_it_is_asked_to(spawn, url, greeting_module, number):
    process = spawn("worker", "greeting_module:app", "--concurrency", 2, "--timeout", 5)
    for line in process.stderr:
        if message(line).startswith("worker runs"):
            break
    with sync.PgFlow(url) as client:
        client.start_flow_sync("greeting", "Ada", timeout=30)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    messages = [message(line) for line in errors.splitlines()]
    assert messages[-2:] == ["worker stops, 0 tasks to finish (operator)", "worker stopped"]


def test_only_the_named_flows_are_worked(spawn, url, greeting_module):
    process = spawn("worker", "greeting_module:app", "--flow", "second")
    assert message(process.stderr.readline()) == "flow second: compiled"
    assert message(process.stderr.readline()) == "worker runs: second"
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


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--log-format", "pretty", "--log-level", "debug"], {}),
        ([], {"PGFLOW_LOG_FORMAT": "pretty", "PGFLOW_LOG_LEVEL": "debug"}),
    ],
    ids=["options", "environment"],
)
def test_people_can_have_the_log_for_people(spawn, url, greeting_module, arguments, variables):
    process = spawn("worker", "greeting_module:app", *arguments, **variables)
    for line in process.stderr:
        if line[8:].startswith(" INFO     worker runs: greeting, second"):
            break
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors.endswith(" INFO     worker stopped\n")


def test_a_quiet_worker_logs_only_what_went_wrong(spawn, url, compiled):
    process = spawn("worker", "greeting_module:app", "--log-level", "error")
    with sync.PgFlow(url) as client:
        client.start_flow_sync("greeting", "Ada", timeout=30)
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("option", ["--log-format", "--log-level"])
def test_unknown_formats_and_levels_are_refused(pgflow, url, greeting_module, option):
    ended = pgflow("worker", "greeting_module:app", option, "loud")
    assert ended.code == 2
    assert option in ended.errors


@pytest.mark.feature("A1.19")
def test_health_and_metrics_can_be_asked_for(spawn, url, greeting_module):
    process = spawn("worker", "greeting_module:app", "--health-port", 0)
    messages = map(message, process.stderr)
    address = next(text for text in messages if text.startswith("health at ")).removeprefix("health at ")
    next(text for text in messages if text.startswith("worker runs"))
    with sync.PgFlow(url) as client:
        client.start_flow_sync("greeting", "Ada", timeout=30)
    health = httpx.get(address, trust_env=False)
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    metrics = httpx.get(address.replace("/health", "/metrics"), trust_env=False).text
    assert 'pgflow_run_ended_total{flow_slug="greeting",outcome="completed"} 1.0' in metrics
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_port_that_is_taken_is_an_error_in_one_line(run_process, url, greeting_module):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run_process("worker", "greeting_module:app", "--health-port", port)
    assert ended.code == 2
    assert f"pgflow: can't serve the health at 127.0.0.1:{port}: " in ended.errors


OWN = """
from concurrent.futures import ThreadPoolExecutor
from pgflow import Flow, PgFlow

placed = Flow("placed")

@placed.step(executor="own")
def where(name: str) -> str:
    import threading
    return threading.current_thread().name

app = PgFlow(URL, flows=[placed], executors={"own": ThreadPoolExecutor(1, "own-thread")})
"""


def test_the_url_and_the_executors_of_the_application_count(spawn, url, write_module, monkeypatch):
    monkeypatch.setenv("PGFLOW_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    write_module("own_module", OWN.replace("URL", repr(url)))
    process = spawn("worker", "own_module:app")
    assert any(message(line).startswith("worker runs") for line in process.stderr)
    with sync.PgFlow(url) as client:
        assert client.start_flow_sync("placed", "Ada", timeout=30).output["where"].startswith("own-thread")


def test_the_url_of_the_option_comes_before_that_of_the_application(spawn, url, write_module):
    write_module("own_module", OWN.replace("URL", "'postgresql://127.0.0.1:1/none'"))
    process = spawn("worker", "own_module:app", "--url", url)
    assert any(message(line).startswith("worker runs") for line in process.stderr)
