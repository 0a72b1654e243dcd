"""Write docs/compatibility.md: what is tested with other implementations, row by row, and by which tests; or check it.

Usage: python tools/document_compatibility.py [--check]

Tests name the rows that they show with the marker `compatible`, whose first argument is the implementation. A row of
tools/compatibility.tsv is what it is called, what it means, where the database's side is tested, and why nothing is
tested with TypeScript where that is so.
"""

from __future__ import annotations

import difflib
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import marks
from marks import ROOT

ROWS = ROOT / "tools" / "compatibility.tsv"
DOCUMENT = ROOT / "docs" / "compatibility.md"
INTRODUCTION = """\
# Compatibility

The schema keeps the SQL contract of pgflow's core 0.14.1, so workers and clients in several languages can share one
database. This page says what has been tested with what. It is written by `tools/document_compatibility.py` from the
marks of tests: `@pytest.mark.compatible("typescript", "start_tasks")`.

* **In SQL**: the contract, function by function, on PostgreSQL 15 and 18."""
ADVICE = """
## Sharing a database

* Compile a flow in one language; the other one finds it registered. `pgflow export` prints it with handlers to write.
* A root step's input is `flow_input` of the task, and the run's input isn't among the outputs that others get. Code
  for cores before 0.12, which reads `input.run`, has to be changed.
* Workers of other languages need the owner's role; [roles.md](roles.md) says why.
* Workers of this package put back what dead workers have left, in whatever language. Where none runs, `pgflow recover`
  does, or a job of pg_cron.
* Reports in other languages name no attempt. One that comes late, while another worker has the task again, counts for
  that attempt, and the report of that worker changes nothing.
* The TypeScript client 0.8.1 reports outputs that count as false in JavaScript (`false`, `0`, `""`) as null. Steps that
  return objects or arrays are safe.

## What is tested
"""

# What tests may name, with the heading of its column and what is meant by it.
IMPLEMENTATIONS = {
    "typescript": (
        "TypeScript",
        """\
* **TypeScript**: its published packages, run by Node on this schema, on PostgreSQL 15 and 18. These are the SQL client
  of `@pgflow/core` 0.8.1 inside of a worker that polls, since its own worker runs on Deno and isn't on npm; the DSL and
  the compiler of `@pgflow/dsl` 0.8.1; and `@pgflow/client` 0.8.1, with SQL in place of Supabase's API. npm has nothing
  newer.""",
    ),
    "elixir": (
        "Elixir",
        """\
* **Elixir**: modules that `pgflow export --elixir` prints are read by Elixir, with a recorder in place of the DSL. Its
  package needs a newer Elixir than Debian 12 has, so its workers haven't been run.""",
    ),
    "reference schema": (
        "Core 0.8.1",
        """\
* **Core 0.8.1**: this package's client and worker on the schema that the reference's own migrations make, on
  PostgreSQL 15 and 18.""",
    ),
}

Marked: TypeAlias = Mapping[tuple[str, str], Sequence[str]]
"""Tests by implementation and row."""


@dataclass(frozen=True)
class Row:
    """What it is called, what it means, the file that tests it in SQL, and why TypeScript isn't tested with it."""

    name: str
    meaning: str
    sql_tests: str
    reason: str

    @property
    def key(self) -> str:
        """What marks call it."""
        return self.name.replace("`", "")


def listed_rows() -> list[Row]:
    """Return all rows in their order."""
    return [Row(*line.split("\t")) for line in ROWS.read_text(encoding="utf-8").splitlines()]


def marked_tests() -> dict[tuple[str, str], list[str]]:
    """Return the tests that are marked, by implementation and row."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for test, (implementation, *names) in marks.marked_tests("compatible"):
        for name in names:
            found[implementation, name].append(test)
    return found


def problems(rows: Sequence[Row], marked: Marked) -> list[str]:
    """Return what is wrong: rows that nothing is known of, marks of what isn't listed."""
    keys = {row.key for row in rows}
    found = []
    for row in rows:
        is_tested = ("typescript", row.key) in marked
        if row.reason and is_tested:
            found.append(f"row {row.name} says why TypeScript isn't tested with it, and there is a test")
        elif not row.reason and not is_tested:
            found.append(f"row {row.name} has neither a test marked with typescript nor a reason")
        if row.sql_tests and not (ROOT / row.sql_tests).is_file():
            found.append(f"row {row.name} names {row.sql_tests}, which isn't there")
    for (implementation, name), tests in sorted(marked.items()):
        if implementation not in IMPLEMENTATIONS:
            found.append(f"{tests[0]} is marked with {implementation!r}; there are {', '.join(IMPLEMENTATIONS)}")
        if name not in keys:
            found.append(f"{tests[0]} is marked with row {name}, which tools/compatibility.tsv doesn't list")
    return found


def document() -> str:
    """Return the page. Raises ValueError with all problems, one per line."""
    rows, marked = listed_rows(), marked_tests()
    if found := problems(rows, marked):
        raise ValueError("\n".join(found))
    tested = [each for each in IMPLEMENTATIONS if any(implementation == each for implementation, _ in marked)]
    explained = [IMPLEMENTATIONS[each][1] for each in tested]
    headings = ["What", "Meaning", "In SQL", *(IMPLEMENTATIONS[each][0] for each in tested)]
    lines = [_line(headings), _line(["---"] * len(headings))]
    for row in rows:
        cells = {each: marks.shown(list(marked.get((each, row.key), ()))) for each in tested}
        if row.reason:
            cells["typescript"] = f"not tested: {row.reason}"
        in_sql = f"`{row.sql_tests}`" if row.sql_tests else ""
        lines.append(_line([row.name, row.meaning, in_sql, *cells.values()]))
    return "\n".join([INTRODUCTION, *explained, ADVICE, *lines, ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


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
    print("wrote docs/compatibility.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
