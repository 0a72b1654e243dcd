from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
ACCEPTED = sorted(path.name for path in FOLDER.glob("accepted*.py"))
REFUSED = sorted(path.name for path in FOLDER.glob("refused*.py"))


def errors_in(file: str, cache: Path) -> set[tuple[int, str]]:
    """Return line and code of all errors that mypy finds in a file of this folder."""
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--cache-dir", str(cache)]
    checked = subprocess.run(
        [*command, "--follow-imports", "silent", str(FOLDER / file)], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode in (0, 1), checked.stderr
    return {
        (int(line), code)
        for line, code in re.findall(rf"{re.escape(file)}:(\d+): error: .*\[([\w-]+)\]$", checked.stdout, re.MULTILINE)
    }


def marked_errors(file: str) -> set[tuple[int, str]]:
    lines = (FOLDER / file).read_text().splitlines()
    return {
        (number, code)
        for number, line in enumerate(lines, start=1)
        if "# refused: " in line
        for code in line.split("# refused: ")[1].split(", ")
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture(scope="module")
def lines_refused_by_pyright() -> dict[str, set[int]]:
    """The lines of each file in which pyright finds errors."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", str(FOLDER)]
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    lines: dict[str, set[int]] = {path.name: set() for path in FOLDER.glob("*.py")}
    for found in json.loads(checked.stdout)["generalDiagnostics"]:
        lines[Path(found["file"]).name].add(found["range"]["start"]["line"] + 1)
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("file", ACCEPTED)
def test_good_programs_are_accepted_by_mypy(cache: Path, file: str) -> None:
    assert errors_in(file, cache) == set()


@pytest.mark.slow
@pytest.mark.parametrize("file", REFUSED)
def test_wrong_programs_are_refused_by_mypy(cache: Path, file: str) -> None:
    assert errors_in(file, cache) == marked_errors(file)


@pytest.mark.slow
@pytest.mark.parametrize("file", ACCEPTED + REFUSED)
def test_pyright_agrees(lines_refused_by_pyright: dict[str, set[int]], file: str) -> None:
    assert lines_refused_by_pyright[file] == {line for line, _code in marked_errors(file)}
