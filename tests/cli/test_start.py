"""`pgflow start` and `pgflow run`, with runs that are worked by a process or by nobody."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest

from pgflow import sync
from pgflow.cli import hints
from pgflow.errors import SchemaError


@pytest.fixture
def worker(compiled: str, spawn: Callable[..., subprocess.Popen[str]]) -> Iterator[subprocess.Popen[str]]:
    """A worker of the flows of `greeting_module`."""
    process = spawn("worker", "greeting_module:app")
    yield process
    process.terminate()
    process.wait(timeout=30)


def only_run(url: str) -> tuple[UUID, object]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("select run_id, input from pgflow.runs").fetchall()
    assert len(rows) == 1
    return rows[0]


def test_the_run_id_is_printed(pgflow, compiled):
    ended = pgflow("start", "greeting", "--input", '"Ada"')
    run_id, value = only_run(compiled)
    assert (ended.code, ended.output, ended.errors, value) == (0, f"{run_id}\n", "", "Ada")


def test_a_started_run_is_printed_as_json(pgflow, compiled):
    ended = pgflow("start", "greeting", "-i", '"Ada"', "--json")
    assert ended.output.count("\n") == 1
    assert (ended.json["flow_slug"], ended.json["status"], ended.json["input"]) == ("greeting", "started", "Ada")


@pytest.mark.parametrize("text", ["0", "false", '""', "null", "[]", "{}", ' {"a": 1} ', '"日本語"', '"-"', '"@x"'])
def test_any_json_is_an_input(pgflow, compiled, text):
    import json

    assert pgflow("start", "greeting", "--input", text).code == 0
    assert only_run(compiled)[1] == json.loads(text)


def test_without_input_it_is_an_empty_object(pgflow, compiled):
    pgflow("start", "greeting")
    assert only_run(compiled)[1] == {}


def test_the_input_comes_from_a_file(pgflow, compiled, folder):
    (folder / "input.json").write_text('{"from": "a file"}')
    assert pgflow("start", "greeting", "--input", "@input.json").code == 0
    assert only_run(compiled)[1] == {"from": "a file"}


def test_the_input_comes_from_standard_input(pgflow, compiled):
    assert pgflow("start", "greeting", "--input", "-", stdin='["piped"]\n').code == 0
    assert only_run(compiled)[1] == ["piped"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{number: 7}", "--input is not JSON: key must be a string at line 1 column 2; on a shell, put JSON into"),
        ("", "--input is not JSON"),
        ("NaN", "--input is not JSON"),
        ("1 2", "--input is not JSON: trailing characters"),
        ("@missing.json", "can't read the input from missing.json: "),
        ("@", "can't read the input from : "),
        ("@folder", "can't read the input from folder: "),
        ("@broken.json", "broken.json is not JSON"),
        ("@latin1.json", "can't read the input from latin1.json: "),
        ("-", "standard input is not JSON"),
        ('"\\u0000"', "NUL character"),
        ('"\\ud800"', "--input is not JSON"),
    ],
)
def test_what_is_no_input_is_refused(pgflow, compiled, folder, text, message):
    (folder / "folder").mkdir()
    (folder / "broken.json").write_text("{")
    (folder / "latin1.json").write_bytes(b'"\xff"')
    ended = pgflow("start", "greeting", "--input", text)
    assert ended.code == 2
    assert message in ended.errors
    assert (ended.errors.count("\n"), ended.output) == (1, "")
    with psycopg.connect(compiled) as connection:
        assert connection.execute("select count(*) from pgflow.runs").fetchone() == (0,)


def test_an_unknown_flow_is_named(pgflow, compiled):
    ended = pgflow("start", "greting")
    assert ended.code == 2
    assert ended.errors == "pgflow: flow 'greting' is not in the database; register it with `pgflow compile APP`\n"


def test_arguments_that_are_no_text_are_refused(run_process, compiled):
    for arguments in (["start", "\udcff"], ["run", "\udcff"], ["start", "greeting", "--input", '"\udcff"']):
        ended = run_process(*arguments)
        assert ended.code == 2
        assert ended.errors.startswith("pgflow: ")
        assert ended.errors.count("\n") == 1


def test_waiting_ends_with_the_output(run_process, worker):
    ended = run_process("start", "greeting", "--input", '"Ada"', "--wait", "--timeout", "30")
    assert ended.code == 0
    assert "completed" in ended.output.splitlines()[0]
    assert ended.output.splitlines()[-1] == 'output {"greet":"Hello, Ada!"}'
    assert "\x1b" not in ended.output + ended.errors


def test_waiting_for_json_ends_with_the_run_and_its_steps(run_process, worker):
    ended = run_process("start", "greeting", "--input", '"Ada"', "--wait", "--json")
    assert ended.code == 0
    assert (ended.json["status"], ended.json["output"]) == ("completed", {"greet": "Hello, Ada!"})
    assert [(step["step_slug"], step["status"]) for step in ended.json["steps"]] == [("greet", "completed")]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_waiting_for_a_run_that_fails_ends_with_1(run_process, worker, options):
    ended = run_process("start", "greeting", "--input", '"nobody"', "--wait", *options)
    assert ended.code == 1
    assert "failed in step 'greet': ValueError: nobody is there" in ended.errors
    assert "failed" in ended.output


def test_waiting_gives_up_after_its_timeout(pgflow, compiled):
    ended = pgflow("start", "greeting", "--wait", "--timeout", "0.05")
    assert ended.code == 1
    assert "did not end within 0.05 s; it goes on" in ended.errors


NO_WORKER = "no worker of flow greeting is running; start one with `pgflow worker APP`"


@pytest.fixture
def hinted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command that waits ask at once whether somebody works the flow."""
    monkeypatch.setattr(hints, "HINT_SECONDS", 0.01)


@pytest.mark.usefixtures("hinted")
def test_who_waits_where_nobody_works_is_told_once(pgflow, compiled):
    ended = pgflow("start", "greeting", "--wait", "--timeout", "1")
    assert ended.errors.count(NO_WORKER) == 1
    assert (ended.code, ended.output) == (1, "")


@pytest.mark.usefixtures("hinted")
def test_with_json_it_is_told_beside_it(pgflow, compiled):
    ended = pgflow("start", "greeting", "--wait", "--json", "--timeout", "1")
    assert (NO_WORKER in ended.errors, ended.output) == (True, "")


@pytest.mark.usefixtures("hinted")
@pytest.mark.parametrize(
    ("column", "is_told"),
    [("started_at", False), ("deprecated_at", True), ("stopped_at", True), ("last_heartbeat_at", True)],
    ids=["alive", "leaving", "stopped", "stale"],
)
def test_only_a_worker_that_takes_tasks_counts(pgflow, compiled, column, is_told):
    with psycopg.connect(compiled, autocommit=True) as connection:
        connection.execute("select pgflow.register_worker(gen_random_uuid(), 'greeting', 'tests')")
        connection.execute(f"update pgflow.workers set {column} = now() - interval '1 hour'")
    try:
        assert (NO_WORKER in pgflow("start", "greeting", "--wait", "--timeout", "1").errors) is is_told
    finally:
        with psycopg.connect(compiled, autocommit=True) as connection:
            connection.execute("delete from pgflow.workers")


@pytest.mark.usefixtures("hinted")
def test_without_waiting_nothing_is_said_of_workers(pgflow, compiled):
    assert pgflow("start", "greeting").errors == ""


def test_a_wait_that_is_over_soon_says_nothing_of_workers(pgflow, compiled):
    assert "no worker" not in pgflow("start", "greeting", "--wait", "--timeout", "0.05").errors


@pytest.mark.usefixtures("hinted")
def test_a_role_that_may_not_ask_who_works_is_told_nothing(pgflow, compiled, monkeypatch):
    def refuse(*_: object, **__: object) -> object:
        raise SchemaError("permission denied for function list_workers")

    monkeypatch.setattr(sync.PgFlow, "list_workers", refuse)
    ended = pgflow("start", "greeting", "--wait", "--timeout", "0.5")
    assert (ended.code, "no worker" in ended.errors, "permission" in ended.errors) == (1, False, False)


def test_ctrl_c_ends_the_waiting_and_not_the_run(spawn, compiled):
    process = spawn("start", "greeting", "--wait")
    with psycopg.connect(compiled, autocommit=True) as connection:
        while connection.execute("select from pgflow.runs").fetchone() is None:
            assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in errors) == (130, False)
    assert only_run(compiled)


def test_a_run_is_shown_with_its_steps(pgflow, compiled):
    run_id = pgflow("start", "greeting").output.strip()
    lines = pgflow("run", run_id).output.splitlines()
    assert lines[0].split()[:2] == ["greeting", "started"]
    assert lines[0].endswith(run_id)
    assert lines[1].split()[:2] == ["●", "greet"]


def test_a_run_is_shown_as_json(pgflow, compiled):
    run_id = pgflow("start", "greeting", "--input", '"日本"').output.strip()
    shown = pgflow("run", run_id, "--json").json
    assert (shown["run_id"], shown["input"], shown["steps"][0]["status"]) == (run_id, "日本", "started")


def test_a_run_is_watched_to_its_end(run_process, pgflow, worker):
    run_id = pgflow("start", "greeting", "--input", '"Ada"').output.strip()
    ended = run_process("run", run_id, "--watch")
    assert ended.code == 0
    assert ended.output.splitlines()[-1] == 'output {"greet":"Hello, Ada!"}'


@pytest.mark.parametrize("run_id", [str(UUID(int=1)), "x", "läuft", "''"])
def test_a_run_that_is_not_there_is_named(pgflow, url, run_id):
    ended = pgflow("run", run_id)
    assert (ended.code, ended.errors) == (2, f"pgflow: no run {run_id}; `pgflow runs` lists those there are\n")


def test_a_terminal_without_unicode_shows_other_characters(run_process, pgflow, compiled):
    run_id = pgflow("start", "greeting").output.strip()
    ended = run_process("run", run_id, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (ended.code, ended.errors) == (0, "")
    assert "? greet" in ended.output.replace("  ", " ")


def test_json_is_utf_8_wherever_it_goes(spawn, pgflow, compiled):
    run_id = pgflow("start", "greeting", "--input", '"ü"').output.strip()
    process = spawn("run", run_id, "--json", PYTHONIOENCODING="ascii")
    assert '"input":"ü"' in process.communicate(timeout=30)[0]


def test_a_reader_that_leaves_early_is_no_disaster(spawn, pgflow, compiled, folder):
    run_id = pgflow("start", "greeting").output.strip()
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [*spawn("--version").args[:3], "run", run_id], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert "Traceback" not in process.communicate(timeout=30)[1]
