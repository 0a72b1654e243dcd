"""Write docs/features.md: features by row, how each is called here, and the tests that show it; or check it.

Usage: python tools/document_features.py [--check]

Tests name rows with the marker `feature`; files of tests that are all about a row stand in the list in features.tsv.
"""

from __future__ import annotations

import ast
import difflib
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT / "tools" / "features.tsv"
DOCUMENT = ROOT / "docs" / "features.md"
INTRODUCTION = """\
# Features

What implementations of pgflow in other languages offer, what it is called here, and the tests that show it. The numbers
are what tests refer to. This page is written by `tools/document_features.py`.
"""


@dataclass(frozen=True)
class Feature:
    """A row: its number, what it is, how it is called here, and files of tests about it."""

    row: str
    title: str
    call: str
    files: tuple[str, ...]


def features() -> list[Feature]:
    """Return all rows in their order. Raises ValueError for a file that isn't there."""
    found = []
    for line in ROWS.read_text(encoding="utf-8").splitlines():
        row, title, call, *rest = line.split("\t")
        files = tuple(f"tests/{name}" for name in (rest[0].split() if rest else ()))
        missing = [name for name in files if not (ROOT / name).exists()]
        if missing:
            raise ValueError(f"row {row} names tests that don't exist: {', '.join(missing)}")
        found.append(Feature(row, title, call, files))
    return found


def marked_tests() -> dict[str, list[str]]:
    """Return the tests that are marked, by row."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for row in _rows_of(node):
                    found[row].append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def document() -> str:
    """Return the page. Raises ValueError for a row that has neither tests nor a reason why it isn't offered."""
    marked = marked_tests()
    offered, others = [], []
    for feature in features():
        tests = [*marked.get(feature.row, ()), *feature.files]
        reason = re.match(r"not offered: (.*)", feature.call)
        if reason:
            others.append(f"| {feature.row} | {feature.title} | {reason[1]} |")
        elif tests:
            offered.append(f"| {feature.row} | {feature.title} | {feature.call} | {_shown(tests)} |")
        else:
            raise ValueError(f"row {feature.row} ({feature.title}) has no test")
    table = ["| | Feature | Here | Tests |", "|---|---|---|---|", *offered]
    absent = ["| | Feature | Why not, or what instead |", "|---|---|---|", *others]
    return "\n".join([INTRODUCTION, *table, "\n## Not offered\n", *absent, ""])


def main() -> int:
    wanted, present = document(), DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    if wanted == present:
        return 0
    if "--check" in sys.argv[1:]:
        sys.stdout.writelines(difflib.unified_diff(present.splitlines(True), wanted.splitlines(True)))
        return 1
    DOCUMENT.write_text(wanted, encoding="utf-8")
    print("wrote docs/features.md")
    return 0


def _rows_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [
        str(argument.value)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.feature"
        for argument in decorator.args
        if isinstance(argument, ast.Constant)
    ]


def _shown(tests: list[str]) -> str:
    """Return the first two tests with their files, and how many more there are."""
    shown = [f"`{test}`" for test in tests[:2]]
    more = [f"{len(tests) - 2} more"] if len(tests) > 2 else []
    return ", ".join([*shown, *more])


if __name__ == "__main__":
    sys.exit(main())
