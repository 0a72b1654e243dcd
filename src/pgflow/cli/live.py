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
_SHORTEST_OUTPUT = 200


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
        if len(text) > _SHORTEST_OUTPUT:
            text = text[:_SHORTEST_OUTPUT] + f"… ({len(text):,} characters; --json shows all)"
        console.print("output", text, markup=False, highlight=False, soft_wrap=True)


def draw(run: RunRow, steps: tuple[StepState, ...], progress: dict[str, StepProgress]) -> Group:
    """Return the picture of a run."""
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
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column(no_wrap=True)
    table.add_column(width=14)
    table.add_column(overflow="fold")
    for step in steps:
        _add_step(table, step, progress.get(step.step_slug))
    return Group(head, table)


def _add_step(table: Table, step: StepState, progress: StepProgress | None) -> None:
    style = STYLES.get(step.status, "")
    tasks = step.initial_tasks or 0
    done = progress.completed if progress else 0
    end = step.completed_at or step.failed_at or step.skipped_at
    time_taken = duration(step.started_at, end or datetime.now(UTC)) if step.started_at else ""
    bar: ProgressBar | Text = Text("")
    if tasks > 1:
        bar = ProgressBar(total=tasks, completed=done, width=14)
    table.add_row(
        Text(_SIGNS.get(step.status, "?"), style=style),
        Text(step.step_slug, style=style),
        Text(time_taken, style="dim"),
        bar,
        _remark(step, progress, done, tasks),
    )


def _remark(step: StepState, progress: StepProgress | None, done: int, tasks: int) -> Text:
    parts: list[str] = []
    if tasks > 1:
        parts.append(f"{done}/{tasks}")
    if progress and progress.attempts > 1:
        parts.append(f"attempt {progress.attempts}")
    if step.skip_reason:
        parts.append(step.skip_reason.replace("_", " "))
    error = step.error_message or (progress.error_message if progress and step.status == "started" else None)
    if error:
        parts.append(error.splitlines()[0][:160])
    return Text(", ".join(parts), style="dim" if not step.error_message else "red")
