"""`pgflow worker --reload`: changes, mistakes, and the end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from pgflow import sync
from worker.running import DEADLINE_SECONDS

FLOW = """
import asyncio
from pgflow import Context, Flow

versioned = Flow("versioned", max_attempts=1)

@versioned.step
async def only(seconds: float, ctx: Context) -> str:
    await asyncio.sleep(seconds)
    return "VERSION " + str(ctx.attempt)
"""


class Reloading:
    """A worker that follows changes of the module `versioned_module`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self._file = folder / "versioned_module.py"

    def write(self, version: str, text: str = FLOW) -> None:
        """Save the module, as editors do: another file takes its place."""
        other = self._file.with_suffix(".new")
        other.write_text(text.replace("VERSION", version), encoding="utf-8")
        other.rename(self._file)

    def wait_for(self, words: str) -> str:
        """Return the next line with these words."""
        assert self.process.stderr is not None
        return next(line for line in self.process.stderr if words in line)

    def worker(self) -> psutil.Process:
        (child,) = psutil.Process(self.process.pid).children()
        return child


@pytest.fixture
def reloading(spawn, folder: Path, url: str) -> Iterator[Reloading]:
    (folder / "versioned_module.py").write_text(FLOW.replace("VERSION", "first"), encoding="utf-8")
    process = spawn("worker", "versioned_module:versioned", "--reload", "--timeout", "0.2", "--log-format", "pretty")
    reloading = Reloading(process, folder)
    reloading.wait_for("worker runs")
    yield reloading
    process.terminate()
    process.communicate(timeout=DEADLINE_SECONDS)


def output_of_a_run(url: str) -> object:
    with sync.PgFlow(url) as client:
        return client.start_flow_sync("versioned", 0, timeout=DEADLINE_SECONDS).output["only"]


def test_a_change_reaches_the_next_run(reloading, url):
    assert output_of_a_run(url) == "first 1"
    reloading.write("second")
    assert reloading.wait_for("changed;") == "versioned_module.py changed; starting the worker anew\n"
    reloading.wait_for("worker runs")
    assert output_of_a_run(url) == "second 1"


@pytest.mark.slow
def test_a_mistake_is_one_line_and_the_worker_comes_back_when_it_is_mended(reloading, url):
    reloading.write("second", "def (:\n")
    assert reloading.wait_for("pgflow: ") == "pgflow: versioned_module.py:1: SyntaxError: invalid syntax\n"
    assert reloading.wait_for("ended;") == "the worker has ended; it is started again when a file changes\n"
    reloading.write("third")
    reloading.wait_for("worker runs")
    assert output_of_a_run(url) == "third 1"


def test_a_handler_that_does_not_end_in_time_gives_its_task_to_the_next_worker(reloading, url):
    with sync.PgFlow(url) as client:
        run = client.start_flow("versioned", 60)
        with psycopg.connect(url, autocommit=True) as connection:
            while connection.execute("select from pgflow.step_tasks where status = 'started'").fetchone() is None:
                assert reloading.process.poll() is None
        quick = FLOW.replace("asyncio.sleep(seconds)", "asyncio.sleep(0)")
        reloading.write("second", quick)
        assert run.result(timeout=DEADLINE_SECONDS) == {"only": "second 1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_it_all(reloading, number):
    worker = reloading.worker()
    reloading.process.send_signal(number)
    _, errors = reloading.process.communicate(timeout=DEADLINE_SECONDS)
    assert (reloading.process.returncode, "Traceback" in errors) == (0, False)
    assert not worker.is_running()


def test_a_second_signal_ends_handlers_at_once_and_gives_their_tasks_back(spawn, folder, url):
    (folder / "versioned_module.py").write_text(FLOW, encoding="utf-8")
    process = spawn("worker", "versioned_module:versioned", "--reload", "--timeout", "600", "--log-format", "pretty")
    reloading = Reloading(process, folder)
    reloading.wait_for("worker runs")
    with sync.PgFlow(url) as client:
        client.start_flow("versioned", 60)
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute("select from pgflow.step_tasks where status = 'started'").fetchone() is None:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        reloading.wait_for("worker stops, 1 tasks to finish")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0
        assert connection.execute("select status, attempts_count from pgflow.step_tasks").fetchall() == [("queued", 0)]


def test_ctrl_c_reaches_the_whole_group_and_yet_counts_once(spawn, folder, url):
    (folder / "versioned_module.py").write_text(FLOW, encoding="utf-8")
    process = spawn("worker", "versioned_module:versioned", "--reload", "--timeout", "600", "--log-format", "pretty")
    Reloading(process, folder).wait_for("worker runs")
    with sync.PgFlow(url) as client:
        client.start_flow("versioned", 0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, "abandons" in errors) == (0, False)


def test_the_worker_does_not_outlive_a_command_that_was_killed(reloading):
    worker = reloading.worker()
    reloading.process.kill()
    worker.wait(timeout=DEADLINE_SECONDS)


@pytest.mark.slow
def test_the_command_outlives_a_worker_that_was_killed(reloading, url):
    reloading.worker().kill()
    reloading.wait_for("the worker has ended; it is started again when a file changes")
    reloading.write("second")
    reloading.wait_for("worker runs")
    assert output_of_a_run(url) == "second 1"


@pytest.mark.parametrize(
    ("reference", "code"), [("no_such_module:app", 2), ("greeting_module", 2), ("greeting_module:nothing", 2)]
)
def test_what_never_runs_ends_the_command(run_process, url, greeting_module, reference, code):
    ended = run_process("worker", reference, "--reload")
    assert ended.code == code
    assert ended.errors.startswith("pgflow: ")
    assert ended.errors.count("\n") == 1


def test_a_server_that_is_down_ends_the_command_with_3(run_process, greeting_module):
    ended = run_process("worker", f"{greeting_module}:app", "--reload", "--url", "postgresql://127.0.0.1:1/x")
    assert ended.code == 3
    assert ended.errors.count("\n") == 1
