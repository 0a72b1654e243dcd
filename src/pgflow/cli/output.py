"""Where commands write: results to standard output, everything else to standard error. Colours on terminals only."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pgflow.serialize import encode
from pgflow.types import RunRow, StepState

COMMAND = "PGFLOW_COMMAND"
"""The environment variable that tells a process behind the command what the user called."""

_WIDTH_WITHOUT_TERMINAL = 200


def _console(*, stderr: bool = False) -> Console:
    """Return a console that is as wide as the terminal, and doesn't cut lines for whoever reads a pipe."""
    console = Console(stderr=stderr)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console


results = _console()
errors = _console(stderr=True)

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="The database. Default: $PGFLOW_DATABASE_URL, else the embedded PostgreSQL."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

STYLES = {
    "completed": "green",
    "failed": "red",
    "started": "yellow",
    "skipped": "dim",
    "created": "dim",
    "cancelled": "magenta",
    "retried": "green",
    "alive": "green",
    "deprecated": "yellow",
    "stale": "red",
    "stopped": "dim",
}
"""How states of runs, steps and workers look."""


def command_name() -> str:
    """Return the command as the user called it, for hints that can be copied: `pgflow`, `.venv/bin/pgflow`."""
    if told := os.environ.get(COMMAND):
        return told
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_shortest(Path(sys.executable))} -m pgflow"
    return _shortest(called)


def _shortest(program: Path) -> str:
    """Return the bare name where the shell finds the same program by it."""
    found = shutil.which(program.name)
    return program.name if found and Path(found).absolute() == program.absolute() else str(program)


def print_json(value: Any) -> None:
    """Write a value as one line of JSON."""
    typer.echo(encode(value))


def run_as_json(row: RunRow, steps: tuple[StepState, ...]) -> dict[str, Any]:
    """Return a run and its steps as plain data."""
    return {**dataclasses.asdict(row), "steps": [dataclasses.asdict(step) for step in steps]}


def duration(start: datetime | None, end: datetime | None) -> str:
    """Return the time between two instants for people, like `350 ms` or `4 min 5 s`; empty when one is missing."""
    if start is None or end is None:
        return ""
    seconds = (end - start).total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def age(start: datetime | None, end: datetime | None) -> str:
    """Return the time between two instants in at most six characters, like `12s`, `4m05s`, `2h03m` or `5d`."""
    if start is None or end is None:
        return ""
    seconds = max((end - start).total_seconds(), 0)
    if seconds < 1:
        return f"{int(seconds * 1000)}ms"
    if seconds < 60:
        return f"{int(seconds)}s"
    if seconds < 3600:
        return f"{int(seconds // 60)}m{int(seconds % 60):02}s"
    if seconds < 86400:
        return f"{int(seconds // 3600)}h{int(seconds % 3600 // 60):02}m"
    return f"{int(seconds // 86400)}d"


def shown_status(run: RunRow) -> str:
    """Return the status of a run for people: one that was cancelled has failed for programs."""
    return "cancelled" if run.cancelled_at is not None else run.status
