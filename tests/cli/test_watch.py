"""`pgflow run --watch` and `pgflow runs --watch`: on terminals, in pipes, and while the database is away."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from client.flows import greeting
from client.workbench import Workbench
from pgflow import sync
from pgflow.cli.polling import Poll
from pgflow.errors import ConnectionLost, RunNotFound
from servers import Server

LEFT_THE_SCREEN = "\x1b[?1049l"
SHOWS_THE_CURSOR = "\x1b[?25h"
_PATIENCE_SECONDS = 10


@pytest.fixture
def session(compiled: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(compiled, autocommit=True) as connection:
        yield connection


@pytest.fixture
def run_id(pgflow, compiled) -> str:
    return pgflow("start", "greeting").output.strip()


def next_json(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_each_change_of_a_run_is_a_line_of_json(spawn, session, run_id):
    process = spawn("run", run_id, "--watch", "--json")
    assert (first := next_json(process))["status"] == "started"
    assert (first["run_id"], first["steps"][0]["status"]) == (run_id, "started")
    Workbench(session).complete("done")
    output, errors = process.communicate(timeout=30)
    last = json.loads(output.splitlines()[-1])
    assert (process.returncode, errors) == (0, "")
    assert (last["status"], last["output"], last["steps"][0]["status"]) == ("completed", {"greet": "done"}, "completed")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_watching_a_run_that_fails_ends_with_1(run_process, pgflow, session, run_id, options):
    Workbench(session).fail("no paper")
    ended = run_process("run", run_id, "--watch", *options)
    assert ended.code == 1
    assert "failed in step 'greet': no paper" in ended.errors
    assert "no paper" in ended.output
    assert pgflow("run", run_id, *options).code == 0


def test_a_pipe_gets_a_line_for_each_step_and_then_the_run(run_process, session, run_id):
    Workbench(session).complete("done")
    first, head, *_, last = run_process("run", run_id, "--watch").output.splitlines()
    assert first.startswith("greet: completed in ")
    assert head.startswith("greeting  completed")
    assert last == 'output {"greet":"done"}'


def test_ctrl_c_ends_the_watching_of_a_run_with_130(spawn, run_id):
    process = spawn("run", run_id, "--watch", "--json")
    next_json(process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in errors) == (130, False)


def test_a_run_that_is_deleted_meanwhile_is_said_to_be_gone(spawn, session, run_id):
    process = spawn("run", run_id, "--watch", "--json")
    next_json(process)
    session.execute("select pgflow.delete_flow_and_data('greeting')")
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (2, f"pgflow: no run {run_id}; `pgflow runs` lists those there are\n")


def test_runs_that_are_new_or_have_changed_are_lines_until_ctrl_c_which_is_no_failure(spawn, pgflow, session, run_id):
    process = spawn("runs", "--watch", "--json", "--flow", "greeting")
    assert (first := next_json(process))["status"] == "started"
    Workbench(session).fail("boom")
    assert (changed := next_json(process))["status"] == "failed"
    assert first["run_id"] == changed["run_id"] == run_id
    pgflow("start", "second")
    second = pgflow("start", "greeting").output.strip()
    assert next_json(process)["run_id"] == second
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, "", "")


def test_runs_in_a_pipe_are_lines_for_people(spawn, run_id):
    process = spawn("runs", "--watch")
    assert process.stdout.readline().split() == [run_id, "greeting", "started", "1", "left"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


@pytest.mark.parametrize("command", [["runs", "--watch"], ["run", "{}", "--watch"]])
def test_ctrl_c_leaves_a_clean_terminal(compiled, run_id, folder, command):
    text, status = until_ctrl_c([each.format(run_id) for each in command], sees="greeting")
    assert text.rindex(SHOWS_THE_CURSOR) > text.rindex("\x1b[?25l")
    assert "Traceback" not in text
    if command[0] == "runs":
        assert "Ctrl-C leaves" in text
        assert text.rindex(LEFT_THE_SCREEN) > text.rindex("\x1b[?1049h")
    assert status == (0 if command[0] == "runs" else 130)


def test_a_terminal_that_can_only_print_gets_lines(compiled, run_id, folder):
    text, status = until_ctrl_c(["runs", "--watch"], sees="1 left", term="dumb")
    assert (run_id in text, "\x1b" in text, status) == (True, False, 0)


def until_ctrl_c(arguments: list[str], sees: str, term: str = "xterm-256color") -> tuple[str, int]:
    """Run a command on a pseudo-terminal until it shows something, press Ctrl-C, and return all that it wrote.

    As a user does, press again when nothing comes of it: Python drops an interrupt that meets a destructor.
    """
    process, terminal = pty.fork()
    if process == 0:
        variables = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": term}
        os.execve(sys.executable, [sys.executable, "-m", "pgflow", *arguments], variables)
    text, pressed_at = b"", float("-inf")
    while True:
        if select.select([terminal], [], [], 1)[0]:
            try:
                read = os.read(terminal, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not read:
                break
            text += read
        if sees.encode() in text and time.monotonic() > pressed_at + _PATIENCE_SECONDS:
            os.write(terminal, b"\x03")
            pressed_at = time.monotonic()
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return text.decode(), os.waitstatus_to_exitcode(status)


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    server._run("pg_ctl", "-w", "-m", "immediate", "stop")
    try:
        yield
    finally:
        options = f"-c unix_socket_directories='{server.directory}' -c listen_addresses=''"
        server._run("pg_ctl", "-w", "-t", "60", "-l", f"{server.directory}/log", "-o", options, "start")


@pytest.mark.slow
def test_watching_survives_a_restart_of_the_server(newest_server: Server, spawn):
    server = Server(newest_server.version, newest_server.binaries)
    try:
        url = server.url(server.template())
        with sync.PgFlow(url) as client:
            client.ensure_compiled(greeting)
            run = client.start_flow(greeting, 1)
        one = spawn("run", run.run_id, "--watch", "--json", "--url", url)
        many = spawn("runs", "--watch", "--json", "--url", url)
        assert next_json(one)["status"] == next_json(many)["status"] == "started"
        with stopped(server):
            for process in (one, many):
                assert "the database hasn't answered for" in process.stderr.readline()
        with psycopg.connect(url, autocommit=True) as connection:
            Workbench(connection).echo()
        assert next_json(many)["run_id"] == str(run.run_id)
        assert json.loads(one.communicate(timeout=60)[0].splitlines()[-1])["status"] == "completed"
        assert (one.returncode, many.poll()) == (0, None)
    finally:
        server.stop()


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_lost_connection_is_told_of_until_the_next_answer():
    answers: list[int | Exception] = [ConnectionLost("gone\naway"), 2]
    go_on = threading.Semaphore(0)

    def ask() -> int:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    with Poll(1, ask, go_on.acquire) as poll:
        assert (poll.wait(0), poll.trouble) == (1, None)
        go_on.release()
        eventually(lambda: poll.trouble)
        assert ": gone away; trying again" in poll.trouble
        assert poll.wait(0) == 1
        go_on.release()
        eventually(lambda: poll.wait(0.1) == 2)
        assert poll.trouble is None
        answers.append(3)
    go_on.release()
    eventually(lambda: not asking())


def test_nothing_is_asked_after_the_screen_was_left():
    with Poll(1, lambda: 2, lambda: None) as poll:
        eventually(lambda: poll.wait(0.1) == 2)
        assert asking()
    eventually(lambda: not asking())


def asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pgflow-screen"]


def test_what_is_no_outage_is_raised_where_the_answer_is_waited_for():
    def ask() -> int:
        raise RunNotFound("x")

    with Poll(1, ask, lambda: None) as poll, pytest.raises(RunNotFound):
        eventually(lambda: poll.wait(0.1) is None)
