"""`pgflow server` and `pgflow demo`, in projects of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pgflow import embedded


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with two documents and a server, for all tests of this module."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "one.md").write_text("# One\n\nThe first document points to [the second](two.md).\n", encoding="utf-8")
    (folder / "two.md").write_text("# Two\n\nThe second points to [nothing](three.md).\n", encoding="utf-8")
    yield folder
    embedded.stop(folder)


@pytest.fixture
def run_in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    monkeypatch.delenv("PGFLOW_DATABASE_URL", raising=False)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pgflow", *arguments],
            cwd=project,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=90,
        )

    return run


@pytest.mark.slow
def test_the_demo_writes_a_report_and_starts_a_server_that_the_next_one_joins(run_in_project, project):
    first = run_in_project("demo", "one.md", "two.md")
    assert first.returncode == 0, first.stderr
    assert "count_words: to be retried after attempt 1: RuntimeError: this failure is on purpose" in first.stdout
    assert first.stdout.count("to be retried") == 1
    assert "Traceback" not in first.stdout + first.stderr
    assert "2 documents, 12 words, 2 links, 1 broken" in first.stdout
    assert f"using the embedded PostgreSQL, data in {project}" in first.stderr
    assert "\x1b" not in first.stdout + first.stderr
    report = (project / "pgflow-report.md").read_text(encoding="utf-8")
    assert "| two.md, line 3 | `three.md` | no such file |" in report

    second = run_in_project("demo", "one.md", "--report", "other.md")
    assert second.returncode == 0, second.stderr
    assert "1 document, 7 words, 1 link, 0 broken" in second.stdout
    assert "using the embedded PostgreSQL" not in second.stderr
    assert (project / "other.md").exists()


def test_the_demo_ends_with_commands_that_work(run_in_project, project):
    ended = run_in_project("demo", "one.md")
    hint = ended.stderr[ended.stderr.index("look at them with:\n") :]
    shown = re.search(r"  (.*) <<SQL\n(.*)  SQL\nor with: (.*)\n", hint, re.DOTALL)
    assert shown is not None
    psql, statements, run = shown.groups()
    asked = subprocess.run(psql, shell=True, input=statements, cwd=project, capture_output=True, text=True)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.count("completed") >= 8
    looked = subprocess.run(run, shell=True, cwd=project, capture_output=True, text=True)
    assert (looked.returncode, looked.stdout.split()[:2]) == (0, ["analyse_documents", "completed"])


def test_with_a_url_the_demo_shows_psql_without_the_password(run_in_project, newest_database_url):
    with_password = newest_database_url.replace("app@", "app:s3cret@")
    ended = run_in_project("demo", "one.md", "--url", with_password)
    assert ended.returncode == 0, ended.stderr
    assert "  psql 'user=app dbname=test_" in ended.stderr
    assert "--url 'user=app dbname=test_" in ended.stderr
    assert "s3cret" not in ended.stderr + ended.stdout


def test_a_document_that_is_missing_fails_the_demo_with_its_name(run_in_project):
    ended = run_in_project("demo", "one.md", "missing.md")
    assert ended.returncode == 1
    assert "failed in step 'read_documents': InvalidInput: " in ended.stderr
    assert "missing.md: no such file" in ended.stderr


def test_a_report_that_would_overwrite_a_document_is_refused(run_in_project, project):
    ended = run_in_project("demo", "one.md", "--report", "one.md")
    assert ended.returncode == 2
    assert ended.stderr.startswith("pgflow: ")
    assert "first document" in (project / "one.md").read_text(encoding="utf-8")


def test_the_server_is_seen_stopped_and_started(run_in_project, project):
    url = run_in_project("server", "url").stdout.strip()
    with psycopg.connect(url) as connection:
        assert connection.execute("select current_database()").fetchone() == ("pgflow",)
    assert run_in_project("server", "status").stdout == f"runs at {url}\ndata in {project}/.pgflow/postgres\n"
    assert run_in_project("server", "stop").stdout == "stopped\n"
    assert run_in_project("server", "status").stdout.startswith("doesn't run; any command without --url starts it\n")
    assert run_in_project("server", "stop").stdout == "it wasn't running\n"
    assert run_in_project("server", "url").stdout.strip() == url


def test_psql_takes_its_own_arguments(run_in_project):
    ended = run_in_project("server", "psql", "-At", "-c", "select 'from ' || current_database()", "--no-psqlrc")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "from pgflow\n", "")


def test_psql_ends_with_its_own_exit_code(run_in_project):
    ended = run_in_project("server", "psql", "-v", "ON_ERROR_STOP=1", "-c", "select 1/0")
    assert ended.returncode == 1
    assert "division by zero" in ended.stderr
