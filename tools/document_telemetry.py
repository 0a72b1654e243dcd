"""Write the reference in docs/telemetry.md from the tables of events and metrics, or check that it is up to date.

Usage: python tools/document_telemetry.py [--check]

What people wrote above the marker stays.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pgflow.integrations.metrics import METRICS, Metric
from pgflow.telemetry import EVENTS, FIELDS, Event

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "telemetry.md"
MARKER = "<!-- Everything below is written by tools/document_telemetry.py from the tables in src/pgflow. -->\n"


def document() -> str:
    """Return the reference in Markdown."""
    return "\n".join(
        [
            "## Events\n",
            *_table(["Event", "Meaning", "Measurements", "Metadata", "Payloads"], map(_event_cells, EVENTS.values())),
            "## Fields\n",
            *_table(["Field", "Type and meaning"], ([f"`{name}`", text] for name, text in FIELDS.items())),
            "## Metrics\n",
            *_table(["OpenTelemetry", "Prometheus", "Kind", "Meaning", "Labels"], map(_metric_cells, METRICS)),
        ]
    )


def main(arguments: Sequence[str]) -> int:
    present = DOCUMENT.read_text(encoding="utf-8")
    wanted = present.partition(MARKER)[0] + MARKER + "\n" + document()
    if wanted == present:
        return 0
    if "--check" in arguments:
        sys.stdout.writelines(
            difflib.unified_diff(present.splitlines(True), wanted.splitlines(True), str(DOCUMENT), "generated")
        )
        return 1
    DOCUMENT.write_text(wanted, encoding="utf-8")
    print(f"wrote docs/{DOCUMENT.name}")
    return 0


def _event_cells(event: Event) -> list[str]:
    return [f"`{event.name}`", event.meaning, *map(_codes, (event.measurements, event.metadata, event.payloads))]


def _metric_cells(metric: Metric) -> list[str]:
    return [f"`{metric.name}`", f"`{metric.prometheus_name}`", metric.kind, metric.description, _codes(metric.labels)]


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [list(header), ["---"] * len(header), *map(list, rows)]
    return [*("| " + " | ".join(cells) + " |" for cells in lines), ""]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
