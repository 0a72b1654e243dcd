"""What the documents say is so: paths, commands, targets, code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pgflow.cli.main import app

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/cli.md",
    "docs/client.md",
    "docs/control.md",
    "docs/compatibility.md",
    "docs/handlers.md",
    "docs/features.md",
    "docs/jobs.md",
    "docs/performance.md",
    "docs/telemetry.md",
    "docs/transactions.md",
    "docs/waiting.md",
    "docs/workers.md",
]
LONGEST_FILE = 400
NEWCOMER = ("init", "dev", "start")

_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"\.?[\w-]+(/[\w.-]+)*(/|\.(py|sql|md|lock|toml|txt))|\.ci/run")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

# Files that users make, and those that a command makes.
OF_USERS = {"flows/process_order.py", "shop.py", "flows.py", "app.py", ".env", "pgflow-report.md", ".pgflow/"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str) -> str:
    return _FENCED.sub("", read(name))


def blocks(name: str, language: str) -> list[str]:
    return [text for found, text in _FENCED.findall(read(name)) if found == language]


def all_commands() -> set[str]:
    group = typer.main.get_command(app)
    nested = {name: getattr(command, "commands", None) for name, command in group.commands.items()}  # type: ignore[attr-defined]
    return {name for name, inner in nested.items() if not inner} | {
        f"{name} {each}" for name, inner in nested.items() if inner for each in inner
    }


def all_options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from parameter.opts
    for inner in getattr(command, "commands", {}).values():
        yield from all_options(inner)


def commands_in_table() -> Iterator[str]:
    for line in read("README.md").splitlines():
        if not line.startswith("| `pgflow "):
            continue
        first, *others = _CODE.findall(line.split(" | ")[0])
        words = [word for word in first.split()[1:] if word.islower() and word.isalpha()]
        yield " ".join(words)
        yield from (f"{words[0]} {other}" for other in others)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_is_named_exists(document: str) -> None:
    named = {code for code in _CODE.findall(prose(document)) if _PATH.fullmatch(code)} - OF_USERS
    missing = [path for path in sorted(named) if not (ROOT / path).exists() and not list(ROOT.glob(f"src/**/{path}"))]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_within_the_project_leads_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    assert [target for target in _LINK.findall(prose(document)) if not (folder / target).exists()] == []


def test_every_command_is_in_the_table_and_the_other_way_round() -> None:
    assert set(commands_in_table()) == all_commands()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_option_that_is_named_exists(document: str) -> None:
    lines = [line for line in read(document).splitlines() if "pgflow " in line]
    named = {option for line in lines for option in re.findall(r"(?<![\w-])--[a-z-]+", line)}
    assert named - {"--help"} <= set(all_options(typer.main.get_command(app)))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_target_of_make_that_is_named_exists(document: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    console = "\n".join(blocks(document, "console"))
    named = re.findall(r"`make ([a-z-]+)", prose(document)) + re.findall(r"^\$ make ([a-z-]+)", console, re.MULTILINE)
    assert set(named) <= targets


def test_every_target_of_make_says_what_it_does() -> None:
    phony = re.findall(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE)
    described = re.findall(r"^([a-z-]+):[^#\n]*## \w", read("Makefile"), re.MULTILINE)
    assert sorted(phony) == sorted(described)


def test_no_source_is_longer_than_it_should_be() -> None:
    sources = [*ROOT.glob("src/**/*.py"), *ROOT.glob("src/pgflow/sql/*/[!0-9]*.sql"), *ROOT.glob("tools/*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


@pytest.fixture
def environment(newest_database_url: str) -> dict[str, str]:
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PGFLOW_DATABASE_URL": newest_database_url,
    }


@pytest.mark.slow
def test_the_example_of_the_readme_runs_from_end_to_end(tmp_path: Path, environment: dict[str, str]) -> None:
    flow, from_python = blocks("README.md", "python")
    commands = [line[2:] for block in blocks("README.md", "console") for line in block.splitlines()]
    init, dev, start = (next(line for line in commands if line.startswith(f"pgflow {word}")) for word in NEWCOMER)
    project = tmp_path / init.split()[-1]
    subprocess.run(init.split(), cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert shape_of(project, (project / "flows/process_order.py").read_text()) == shape_of(project, flow)

    process = subprocess.Popen(dev.split(), cwd=project, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "worker runs" in line:
                break
        started = subprocess.run(start, shell=True, cwd=project, env=environment, capture_output=True, text=True)
        assert started.returncode == 0, started.stderr
        output = started.stdout.splitlines()[-1].removeprefix("output ")
        assert json.loads(output) == {"total": {"order": 7, "total": 6}}

        program = [sys.executable, "-W", "error", "-c", from_python]
        printed = subprocess.run(program, cwd=project, env=environment, capture_output=True, text=True, timeout=60)
        promised = re.search(r"print\(.*\)\s+# (.*)", from_python)
        assert promised is not None
        assert (printed.returncode, printed.stdout.strip(), printed.stderr) == (0, promised[1], "")
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "order 7, attempt 1" in errors


def shape_of(project: Path, source: str) -> str:
    """Return the shape of the flow that a source declares, as a program prints it."""
    (project / "shown.py").write_text(f"{source}\nprint(flow.shape)\n", encoding="utf-8")
    return subprocess.run([sys.executable, "shown.py"], cwd=project, capture_output=True, text=True, check=True).stdout
