"""Puts the report into the documentation."""

from __future__ import annotations

from pathlib import Path

from bench.report import report
from bench.results import Results

BEGIN = "<!-- begin: measured -->"
END = "<!-- end: measured -->"
PICTURE = "![Jobs and steps per second, and latency, of all peers](performance.svg)"


def publish(results: Results, documents: Path) -> None:
    """Replace what stands between the marks in `performance.md`, and write the records beside it."""
    page = documents / "performance.md"
    page.write_text(embed(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    results.write(documents / "performance.json")


def embed(page: str, results: Results) -> str:
    """Return the page with the report between the marks. Raises ValueError when they are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{PICTURE}\n\n{report(results)}\n{END}{after}"
