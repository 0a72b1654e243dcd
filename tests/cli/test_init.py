"""`pgflow init`: what it writes, that it works, and what it never does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pgflow import embedded
from pgflow.cli.scaffolding import _name_of, template, write
from pgflow.errors import PgFlowError

FILES = {
    ".env",
    ".gitignore",
    "README.md",
    "app.py",
    "flows/__init__.py",
    "flows/process_order.py",
    "pyproject.toml",
    "tests/test_process_order.py",
}
PROGRAMS = str(Path(sys.executable).parent)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory):
    """A project that was just made."""
    folder = tmp_path_factory.mktemp("made") / "my shop"
    subprocess.run([sys.executable, "-m", "pgflow", "init", str(folder)], check=True, capture_output=True)
    yield folder
    embedded.stop(folder)


def run_in(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PGFLOW_")}
    variables["PATH"] = f"{PROGRAMS}{os.pathsep}{variables['PATH']}"
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=110)


def test_it_writes_a_project(project):
    assert files_below(project) == FILES
    assert 'name = "my-shop"' in (project / "pyproject.toml").read_text()
    assert (project / "README.md").read_text().startswith("# my-shop\n")


@pytest.mark.slow
def test_the_project_passes_its_own_tests(project, tmp_path):
    # On its own, pytest would close the folder of all temporary folders, also to servers of other tests that run as
    # another user.
    options = ["-q", "-p", "no:asyncio", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'temporary'}"]
    ended = run_in(project, sys.executable, "-m", "pytest", *options)
    assert ended.returncode == 0, ended.stdout
    assert "3 passed" in ended.stdout


def test_the_project_is_in_order_for_ruff(project):
    checked = run_in(
        project, "ruff", "check", "--no-cache", "--extend-select", "D,I,UP,B", "--ignore", "D10,D203,D213", "."
    )
    assert checked.returncode == 0, checked.stdout
    formatted = run_in(project, "ruff", "format", "--no-cache", "--check", ".")
    assert formatted.returncode == 0, formatted.stdout


def test_the_commands_of_its_readme_work(project):
    readme = (project / "README.md").read_text()
    commands = re.findall(r"^\$ (pgflow .*)$", readme, re.MULTILINE)
    dev, start, *others = commands
    variables = {**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    variables.pop("PGFLOW_DATABASE_URL", None)
    process = subprocess.Popen(dev.split(), cwd=project, env=variables, stderr=subprocess.PIPE, text=True)
    try:
        shown = ""
        for line in process.stderr:
            shown += line
            if "worker runs" in line:
                break
        assert '--input \'{"number":7,"items":["pen","ink"]}\' --wait' in shown
        ended = run_in(project, "sh", "-c", start)
        assert ended.stdout.splitlines()[-1] == 'output {"total":{"order":7,"total":6}}'
        for command in others:
            ended = run_in(project, "sh", "-c", command)
            assert ended.returncode == 0, ended.stderr
        assert "completed" in ended.stdout
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_paths_in_its_readme_exist(project):
    named = re.findall(r"^\| `([^`]+)` \|", (project / "README.md").read_text(), re.MULTILINE)
    assert [path for path in named if not (project / path).exists()] == []


def test_it_says_what_to_do_next(pgflow, folder):
    ended = pgflow("init", "here")
    assert ended.code == 0
    assert f"into {folder}/here\n\n  cd here\n" in ended.errors
    assert " dev app:app\n" in ended.errors
    assert ended.output == ""


def test_without_a_directory_it_writes_here(pgflow, folder):
    ended = pgflow("init", "--name", "chosen")
    assert files_below(folder) == FILES
    assert "cd " not in ended.errors
    assert 'name = "chosen"' in (folder / "pyproject.toml").read_text()


def test_it_never_overwrites_and_lists_what_is_in_the_way(pgflow, folder):
    (folder / "app.py").write_text("mine")
    (folder / "README.md").symlink_to("nowhere")
    ended = pgflow("init")
    assert ended.code == 2
    assert ended.errors == (
        f"pgflow: {folder} has README.md, app.py already and nothing was written; "
        "name another folder: `pgflow init DIRECTORY`\n"
    )
    assert files_below(folder) == {"app.py"}


def test_again_is_refused(pgflow, folder):
    assert pgflow("init").code == 0
    before = {path: (folder / path).read_text() for path in FILES}
    ended = pgflow("init", "--name", "other")
    assert (ended.code, ended.errors.count("\n")) == (2, 1)
    assert " and 3 more already" in ended.errors
    assert {path: (folder / path).read_text() for path in FILES} == before


def test_other_files_may_be_there(pgflow, folder):
    (folder / "notes.md").write_text("mine")
    assert pgflow("init").code == 0
    assert (folder / "notes.md").read_text() == "mine"


def test_where_a_file_stands_for_a_folder_nothing_is_left_behind(pgflow, folder):
    (folder / "tests").write_text("a file")
    ended = pgflow("init")
    assert ended.code == 2
    assert "Not a directory, and nothing was written" in ended.errors
    assert files_below(folder) == {"tests"}


def test_a_folder_that_was_made_is_taken_away_again(pgflow, folder, monkeypatch):
    contents = {**template("x"), Path("tests/nul\0"): ""}
    with pytest.raises(ValueError, match="null"):
        write(folder / "deep" / "er", contents)
    assert list(folder.iterdir()) == []


def test_of_two_at_once_one_writes_all_and_the_other_nothing(folder):
    ended: list[str] = []
    barrier = threading.Barrier(4)

    def make(name: str) -> None:
        barrier.wait()
        try:
            write(folder / "made", template(name))
            ended.append(name)
        except PgFlowError:
            pass

    threads = [threading.Thread(target=make, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) <= 1
    if ended:
        assert files_below(folder / "made") == FILES
        assert f'name = "{ended[0]}"' in (folder / "made" / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", ["", "-x", "x y", "läuft", "x/y", "x\n", "a" * 101, '"'])
def test_what_is_no_name_is_refused(pgflow, folder, name):
    ended = pgflow("init", "--name", name)
    assert ended.code == 2
    assert "can't be a project's name" in ended.errors
    assert ended.errors.count("\n") == 1
    assert files_below(folder) == set()


@pytest.mark.parametrize(
    ("folder_name", "name"),
    [("my shop", "my-shop"), ("日本", "flows"), ("-x-", "x"), ("a" * 200, "a" * 100), ("é1", "1")],
)
def test_the_name_is_made_of_that_of_the_folder(folder_name, name):
    assert _name_of(Path("/somewhere") / folder_name) == name


def test_the_templates_are_part_of_the_package(project):
    source = Path(__file__).parent.parent.parent / "src/pgflow/cli/template"
    assert len(template("x")) == len([path for path in source.rglob("*") if path.is_file()])
