from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent


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


@pytest.mark.slow
def test_good_declarations_are_accepted_by_mypy(cache: Path) -> None:
    assert errors_in("accepted.py", cache) == set()


@pytest.mark.slow
def test_wrong_declarations_are_refused_by_mypy(cache: Path) -> None:
    assert errors_in("refused.py", cache) == marked_errors("refused.py")
