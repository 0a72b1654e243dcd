"""A run on the terminal: its steps as a tree of lines, once or live."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pgflow import sync
from pgflow.cli.output import STYLES, duration
from pgflow.errors import WaitTimeout
from pgflow.serialize import encode
from pgflow.types import RunRow, StepProgress, StepState

_SIGNS = {"completed": "✔", "failed": "✘", "started": "●", "skipped": "⤼", "created": "·"}
_SHOWN_OUTPUT = 200
_LONGEST_SLUG = 36
_WIDTH_OF_TIME = 7
_WIDTH_OF_BAR = 14


def watch(run: sync.Run, console: Console, *, timeout: float | None = None) -> None:
    """Show the run until it ends. Raises WaitTimeout after `timeout` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with Live(console=console, refresh_per_second=12, transient=True) as live:
        while True:
            run.refresh()
            progress = run.read_progress()
            live.update(draw(run.row, run.steps, progress))
            if run.row.ended:
                return
            if deadline is not None and timeout is not None and time.monotonic() > deadline:
                raise WaitTimeout(run.run_id, timeout)
            time.sleep(0.1)


def print_run(run: sync.Run, console: Console) -> None:
    """Print the run with its steps and its output."""
    console.print(draw(run.row, run.steps, run.read_progress()))
    if run.output is not None:
        text = encode(run.output).decode()
        if len(text) > _SHOWN_OUTPUT:
            text = text[:_SHOWN_OUTPUT] + f"… ({len(text):,} characters; --json shows all)"
        console.print("output", text, markup=False, highlight=False, soft_wrap=True)


def draw(run: RunRow, steps: tuple[StepState, ...], progress: dict[str, StepProgress]) -> Group:
    """Return the picture of a run: a line for it, a line for each step, and below what went wrong in which step."""
    head = Text.assemble(
        (run.flow_slug, "bold"),
        "  ",
        (run.status, STYLES.get(run.status, "")),
        "  ",
        (duration(run.started_at, run.completed_at or run.failed_at or datetime.now(UTC)), "dim"),
        "  ",
        (str(run.run_id), "dim"),
    )
    table = Table(box=None, show_header=False, padding=(0, 1), expand=False)
    table.add_column(width=1)
    # The only column that may shrink: slugs have no spaces, so they are cut, never wrapped.
    table.add_column(overflow="ellipsis", max_width=_LONGEST_SLUG)
    table.add_column(no_wrap=True, min_width=_WIDTH_OF_TIME)
    if any(_is_counted(step) for step in steps):
        table.add_column(width=_WIDTH_OF_BAR)
    table.add_column(no_wrap=True)
    for step in steps:
        _add_step(table, step, progress.get(step.step_slug))
    troubles = [_trouble(step, progress.get(step.step_slug)) for step in steps]
    return Group(head, table, *(trouble for trouble in troubles if trouble))


def _is_counted(step: StepState) -> bool:
    """Whether a step has tasks enough for a bar."""
    return (step.initial_tasks or 0) > 1


def _add_step(table: Table, step: StepState, progress: StepProgress | None) -> None:
    style = STYLES.get(step.status, "")
    tasks = step.initial_tasks or 0
    done = progress.completed if progress else 0
    end = step.completed_at or step.failed_at or step.skipped_at
    time_taken = duration(step.started_at, end or datetime.now(UTC)) if step.started_at else ""
    cells: list[ProgressBar | Text] = [
        Text(_SIGNS.get(step.status, "?"), style=style),
        Text(step.step_slug, style=style),
        Text(time_taken, style="dim"),
    ]
    if len(table.columns) > len(cells) + 1:
        bar = ProgressBar(total=tasks, completed=done, width=_WIDTH_OF_BAR)
        cells.append(bar if _is_counted(step) else Text(""))
    table.add_row(*cells, _remark(step, progress, done, tasks))


def _remark(step: StepState, progress: StepProgress | None, done: int, tasks: int) -> Text:
    parts: list[str] = []
    if tasks > 1:
        parts.append(f"{done}/{tasks}")
    if progress and progress.attempts > 1:
        parts.append(f"attempt {progress.attempts}")
    if step.skip_reason:
        parts.append(step.skip_reason.replace("_", " "))
    return Text(", ".join(parts), style="dim")


def _trouble(step: StepState, progress: StepProgress | None) -> Text | None:
    """Return what went wrong in a step, on one line; None where nothing did, or a retry has made good for it."""
    message = step.error_message or (progress.error_message if progress and step.status == "started" else None)
    if not message or not message.strip():
        return None
    line = "".join(character if character.isprintable() else " " for character in message.strip().splitlines()[0])
    return Text(
        f"{step.step_slug}: {line}", style="red" if step.error_message else "dim", no_wrap=True, overflow="ellipsis"
    )
