"""Write docs/features.md: features by row, how each is called here, and the tests that show it; or check it.

Usage: python tools/document_features.py [--check]

Tests name the rows that they show with the marker `feature`. A row needs such a test, or a reason why it isn't offered.
"""

from __future__ import annotations

import difflib
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import marks
from marks import ROOT

ROWS = ROOT / "tools" / "features.tsv"
DOCUMENT = ROOT / "docs" / "features.md"
NOT_OFFERED = "not offered: "
INTRODUCTION = """\
# Features

What implementations of pgflow in other languages offer, what it is called here, and the tests that show it. The numbers
are those that tests are marked with: `@pytest.mark.feature("A1.4")`. This page is written by
`tools/document_features.py`.
"""


@dataclass(frozen=True)
class Feature:
    """A row: its number, what it is, and how it is called here or why it isn't offered."""

    row: str
    title: str
    call: str

    @property
    def reason(self) -> str | None:
        """Why it isn't offered; None for what is."""
        return self.call.removeprefix(NOT_OFFERED) if self.call.startswith(NOT_OFFERED) else None


def features() -> list[Feature]:
    """Return all rows in their order."""
    return [Feature(*line.split("\t")) for line in ROWS.read_text(encoding="utf-8").splitlines()]


def marked_tests() -> dict[str, list[str]]:
    """Return the tests that are marked, by row."""
    found: dict[str, list[str]] = defaultdict(list)
    for test, rows in marks.marked_tests("feature"):
        for row in rows:
            found[row].append(test)
    return found


def problems(listed: Sequence[Feature], marked: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what is wrong: rows without tests, tests of rows that aren't listed or aren't offered."""
    known = {feature.row: feature for feature in listed}
    found = [
        f"row {feature.row} ({feature.title}) has neither a marked test nor a reason why it is not offered"
        for feature in listed
        if feature.reason is None and not marked.get(feature.row)
    ]
    for row, tests in sorted(marked.items()):
        if row not in known:
            found.append(f"{tests[0]} is marked with row {row}, which tools/features.tsv doesn't list")
        elif known[row].reason is not None:
            found.append(f"{tests[0]} is marked with row {row}, which is said not to be offered")
    return found


def document() -> str:
    """Return the page. Raises ValueError with all problems, one per line."""
    listed, marked = features(), marked_tests()
    if found := problems(listed, marked):
        raise ValueError("\n".join(found))
    offered = [f"| {f.row} | {f.title} | {f.call} | {marks.shown(marked[f.row])} |" for f in listed if f.reason is None]
    absent = [f"| {f.row} | {f.title} | {f.reason} |" for f in listed if f.reason is not None]
    table = ["| | Feature | Here | Tests |", "|---|---|---|---|", *offered]
    others = ["| | Feature | Why not, or what instead |", "|---|---|---|", *absent]
    return "\n".join([INTRODUCTION, *table, "\n## Not offered\n", *others, ""])


def main() -> int:
    try:
        wanted = document()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    present = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    if wanted == present:
        return 0
    if "--check" in sys.argv[1:]:
        sys.stdout.writelines(difflib.unified_diff(present.splitlines(True), wanted.splitlines(True)))
        return 1
    DOCUMENT.write_text(wanted, encoding="utf-8")
    print("wrote docs/features.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
