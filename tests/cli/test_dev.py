"""`pgflow dev`, on the embedded server and on another one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from conftest import as_superuser
from pgflow import embedded

DEADLINE_SECONDS = 60
FLOW = """
from pgflow import Flow, PgFlow

greeting = Flow("greeting", timeout=TIMEOUT)

@greeting.step
def STEP(person: str) -> str:
    return "Hello, " + person

MORE
app = PgFlow(flows=[FLOWS])
"""
SECOND = """
second = Flow("second")

@second.step
def only(numbers: list[int]) -> int:
    return sum(numbers)
"""


class Dev:
    """A running `pgflow dev`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.shown = ""

    def wait_for(self, words: str) -> str:
        """Return the next line with these words."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.shown += line
            if words in line:
                return line
        raise AssertionError(f"ended without {words!r}:\n{self.shown}")

    def end(self, number: int = signal.SIGINT) -> str:
        """Send a signal to the whole group, as Ctrl-C does, and return the rest of what it says."""
        os.killpg(self.process.pid, number)
        return self.process.communicate(timeout=DEADLINE_SECONDS)[1]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pgflow", *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60
        )


def write(folder: Path, step: str = "greet", timeout: int = 60, more: str = "") -> None:
    flows = "greeting, second" if more else "greeting"
    text = FLOW.replace("STEP", step).replace("TIMEOUT", str(timeout)).replace("MORE", more).replace("FLOWS", flows)
    (folder / "app.py").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def project_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").touch()
    yield folder
    embedded.stop(folder)


@pytest.fixture
def project(project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with an application and the data of the tests before."""
    monkeypatch.delenv("PGFLOW_DATABASE_URL", raising=False)
    monkeypatch.chdir(project_folder)
    write(project_folder)
    return project_folder


@pytest.fixture
def dev(
    project: Path, spawn: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Dev]:
    def start(*options: str) -> Dev:
        monkeypatch.chdir(project)
        return Dev(spawn("dev", "app:app", "--timeout", "1", *options), project)

    return start


def test_the_first_screen_says_where_things_are_and_its_commands_work(dev, project):
    running = dev()
    running.wait_for("worker runs")
    assert f"  data   {project}/.pgflow/postgres, in a PostgreSQL of this project\n" in running.shown
    assert "  flow   greeting: greet\n" in running.shown
    shown = dict(re.findall(r"^  (look|start)  +(.*)$", running.shown, re.MULTILINE))
    started = subprocess.run(shown["start"], shell=True, cwd=project, capture_output=True, text=True)
    assert started.stdout.splitlines()[-1] == 'output {"greet":"Hello, text"}'
    looked = subprocess.run(f"{shown['look']} -Atc 'select 1'", shell=True, cwd=project, capture_output=True, text=True)
    assert looked.stdout == "1\n"
    running.wait_for("[greeting ")


def test_ctrl_c_once_ends_the_worker_and_the_server(dev, project):
    running = dev()
    running.wait_for("worker runs")
    said = running.end()
    assert running.process.returncode == 0, said
    assert said.splitlines()[-2:] == [said.splitlines()[-2], "the embedded server has stopped, the data stay"]
    assert "worker stopped" in said
    assert "Traceback" not in said
    assert embedded.find(project) is None


def test_a_server_that_others_use_goes_on(dev, project):
    running = dev()
    running.wait_for("worker runs")
    server = embedded.find(project)
    with psycopg.connect(server.url) as other:
        assert "the embedded server goes on, as others use it; `" in running.end()
        assert other.execute("select 1").fetchone() == (1,)


def test_a_second_one_at_once_says_so(dev, project):
    running = dev()
    running.wait_for("worker runs")
    again = running.run("dev", "app:app")
    assert again.returncode == 2
    assert again.stderr == (
        f"pgflow: `pgflow dev` runs in this project already, process {running.process.pid}; end it there with Ctrl-C, "
        "or run `pgflow worker APP` for one more worker\n"
    )
    assert running.process.poll() is None


@pytest.mark.slow
def test_one_that_was_killed_does_not_keep_the_next_from_running(dev):
    killed = dev()
    killed.wait_for("worker runs")
    killed.process.kill()
    killed.process.wait()
    dev().wait_for("worker runs")


@pytest.mark.slow
def test_a_changed_flow_is_registered_anew_and_its_lost_runs_are_counted(dev, project):
    write(project, step="before")
    running = dev()
    running.wait_for("worker runs")
    for _ in range(2):
        assert running.run("start", "greeting", "--input", '"Ada"', "--wait").returncode == 0
    write(project, step="after")
    line = running.wait_for("has changed")
    found = re.search(r"flow greeting has changed: it is registered anew, its (\d+) runs are deleted", line)
    assert found is not None
    assert int(found[1]) >= 2
    running.wait_for("worker runs")
    ended = running.run("start", "greeting", "--input", '"Ada"', "--wait")
    assert ended.stdout.splitlines()[-1] == 'output {"after":"Hello, Ada"}'


@pytest.mark.slow
def test_changed_options_reach_the_database_and_no_run_is_lost(dev, project):
    running = dev()
    running.wait_for("worker runs")
    run_id = running.run("start", "greeting", "--input", '"Ada"').stdout.strip()
    write(project, timeout=7)
    running.wait_for("worker runs")
    assert running.run("run", run_id).returncode == 0
    with psycopg.connect(embedded.find(project).url) as connection:
        assert connection.execute("select opt_timeout from pgflow.flows where flow_slug = 'greeting'").fetchone() == (
            7,
        )


def test_a_new_flow_is_shown_with_how_to_start_it(dev, project):
    running = dev()
    running.wait_for("worker runs")
    write(project, more=SECOND)
    assert " start second --input '[1]' --wait" in running.wait_for("start second")


@pytest.mark.slow
def test_a_database_given_by_url_is_migrated_and_its_runs_are_safe(dev, project, empty_database_url):
    running = dev("--url", empty_database_url)
    running.wait_for("worker runs")
    assert "  data   database test_" in running.shown
    assert running.run("start", "greeting", "--input", '"Ada"', "--wait", "--url", empty_database_url).returncode == 0
    write(project, step="changed")
    line = running.wait_for("pgflow: ")
    assert line.startswith("pgflow: flow 'greeting' differs from the database: ")
    assert "pgflow compile APP --allow-data-loss" in line
    running.wait_for("it is started again when a file changes")
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select count(*) from pgflow.runs").fetchone() == (1,)
    assert "server" not in running.end()


@pytest.mark.slow
def test_a_local_supabase_takes_a_changed_flow_by_the_rule_of_the_contract(dev, project, newest_database_url):
    with as_superuser(newest_database_url, autocommit=True) as connection:
        secret = "super-secret-jwt-token-with-at-least-32-characters-long"
        name = connection.info.dbname
        connection.execute(f"alter database {name} set app.settings.jwt_secret = '{secret}'".encode())
    running = dev("--url", newest_database_url)
    running.wait_for("worker runs")
    write(project, step="changed")
    assert "its 0 runs are deleted" in running.wait_for("has changed")


def test_the_url_of_the_application_is_used(dev, project, newest_database_url):
    file = project / "app.py"
    file.write_text(file.read_text().replace("PgFlow(", f"PgFlow({newest_database_url!r}, "))
    running = dev()
    running.wait_for("worker runs")
    assert "  data   database test_" in running.shown
    with psycopg.connect(newest_database_url) as connection:
        assert connection.execute("select flow_slug from pgflow.flows").fetchall() == [("greeting",)]


@pytest.mark.parametrize(
    ("reference", "options", "code"),
    [("no_module:app", [], 2), ("app:nobody", [], 2), ("app:app", ["--url", "postgresql://127.0.0.1:1/x"], 3)],
)
def test_what_cannot_start_is_one_line(run_process, project, reference, options, code):
    ended = run_process("dev", reference, *options)
    assert (ended.code, ended.output, ended.errors.count("\n")) == (code, "", 1)
    assert ended.errors.startswith("pgflow: ")
