"""A run on the terminal: printed once, or followed live."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from rich.console import Console
from rich.live import Live

from pgflow import sync
from pgflow.cli.output import duration, errors, print_json, run_as_json
from pgflow.cli.picture import Dependencies, RunPicture, printable_line
from pgflow.cli.polling import PAUSE, Poll
from pgflow.cli.tables import print_line
from pgflow.errors import FlowNotFound, SchemaError, WaitTimeout
from pgflow.graph import FlowShape
from pgflow.serialize import encode
from pgflow.types import RunRow, StepProgress, StepState

_FRAME = 0.25
_SHORTEST_PAUSE = 0.1
_SHOWN_OUTPUT = 200


@dataclass(frozen=True)
class Seen:
    """A run as it was at one time."""

    run: RunRow
    steps: tuple[StepState, ...]
    progress: dict[str, StepProgress]


RunPoll: TypeAlias = Poll[Seen]


def watch(client: sync.PgFlow, run: sync.Run, console: Console, *, timeout: float | None = None) -> None:
    """Show the run until it ends: live on a terminal, elsewhere one line per change of a step.

    Raises WaitTimeout after `timeout` seconds, and RunNotFound when the run is deleted meanwhile. When the database
    goes away it says so and goes on when it is back.
    """
    dependencies = dependencies_of(client, run.flow_slug)
    if not console.is_interactive:
        for line in _changes(client, run, timeout):
            print_line(console, line)
        return
    tags = tags_of(run)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        try:
            for seen, trouble in _look(client, run, timeout):
                picture = RunPicture(seen.run, seen.steps, seen.progress, dependencies, tags, trouble, live=True)
                live.update(picture, refresh=True)
        except BaseException:
            live.transient = False  # what was seen last stays, since nothing comes in its place
            raise


def watch_as_json(client: sync.PgFlow, run: sync.Run) -> None:
    """Print the run and its steps as one line of JSON, and again for each change, until it ends."""
    told: Seen | None = None
    for seen in _look_aloud(client, run, None):
        if told is None or (seen.run, seen.steps) != (told.run, told.steps):
            print_json(run_as_json(seen.run, seen.steps))
            told = seen


def print_run(client: sync.PgFlow, run: sync.Run, console: Console) -> None:
    """Print the run with its steps and its output."""
    picture = RunPicture(run.row, run.steps, run.read_progress(), dependencies_of(client, run.flow_slug), tags_of(run))
    console.print(picture, soft_wrap=not console.is_terminal)
    if run.output is not None:
        text = encode(run.output).decode()
        if len(text) > _SHOWN_OUTPUT:
            text = text[:_SHOWN_OUTPUT] + f"… ({len(text):,} characters; --json shows all)"
        print_line(console, f"output {text}")


def dependencies_of(client: sync.PgFlow, flow_slug: str) -> Dependencies:
    """Return what each step of a flow waits for; nothing where the role may not look at definitions."""
    try:
        return dependencies_in(client.get_flow(flow_slug))
    except (FlowNotFound, SchemaError):
        return {}


def tags_of(run: sync.Run) -> tuple[str, ...]:
    """Return the tags of a run; none where the database knows of no tags, or the role may not ask."""
    try:
        return run.read_tags()
    except SchemaError:
        return ()


def dependencies_in(shape: FlowShape) -> Dependencies:
    """Return what each step waits for."""
    return {step.slug: step.dependencies for step in shape.steps}


def _look(client: sync.PgFlow, run: sync.Run, timeout: float | None) -> Iterator[tuple[Seen, str | None]]:
    """Yield the run again and again until it has ended, with what to say when the database doesn't answer."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with client.database.watcher.changes(run.run_id) as changes:

        def pause() -> None:
            time.sleep(_SHORTEST_PAUSE)
            changes.next(PAUSE - _SHORTEST_PAUSE)

        with Poll(_see(run), lambda: _see(run), pause) as poll:
            seen = poll.wait(0)
            while True:
                yield seen, poll.trouble
                if seen.run.ended:
                    return
                if deadline is not None and timeout is not None and time.monotonic() > deadline:
                    raise WaitTimeout(run.run_id, timeout)
                seen = poll.wait(_FRAME if deadline is None else min(_FRAME, max(deadline - time.monotonic(), 0)))


def _look_aloud(client: sync.PgFlow, run: sync.Run, timeout: float | None) -> Iterator[Seen]:
    """Yield the run again and again until it has ended; say once per outage that the database doesn't answer."""
    said = False
    for seen, trouble in _look(client, run, timeout):
        yield seen
        if trouble and not said:
            print_line(errors, trouble)
        said = trouble is not None


def _see(run: sync.Run) -> Seen:
    run.refresh()
    return Seen(run.row, run.steps, run.read_progress())


def _changes(client: sync.PgFlow, run: sync.Run, timeout: float | None) -> Iterator[str]:
    told: set[str] = set()
    for seen in _look_aloud(client, run, timeout):
        for line in change_lines(seen.steps, seen.progress):
            if line not in told:
                told.add(line)
                yield line


def change_lines(steps: tuple[StepState, ...], progress: dict[str, StepProgress]) -> Iterator[str]:
    """Yield a line for each step that has begun: its state and how long it took, or why it is tried again."""
    for step in steps:
        tasks = progress.get(step.step_slug)
        if step.status == "created":
            continue
        if step.status == "started" and tasks and tasks.queued and tasks.error_message:
            error = printable_line(tasks.error_message)
            yield f"{step.step_slug}: to be retried after attempt {tasks.attempts}: {error}"
            continue
        taken = duration(step.started_at, step.completed_at or step.failed_at)
        error = f": {printable_line(step.error_message)}" if step.error_message else ""
        yield f"{step.step_slug}: {step.status}" + (f" in {taken}" if taken else "") + error
