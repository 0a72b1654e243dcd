"""Starts a run for each line of JSON, and says at any time what has been started."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import TypeAlias

import psycopg
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pgflow import sync
from pgflow.cli.interruptions import Interruptions
from pgflow.cli.lines import Line, Source, open_source
from pgflow.cli.output import command_name, errors, print_json, results
from pgflow.errors import ConnectionLost, InvalidInput, PgFlowError, SchemaError

Span: TypeAlias = tuple[int, int]
"""The numbers of a first and a last line."""


@dataclass(frozen=True)
class Wanted:
    """What the command line says of all runs."""

    flow: str
    key_field: str | None
    tags: tuple[str, ...]
    delay: float | None
    at: datetime | None
    json: bool


@dataclass
class Tally:
    """What has been started so far."""

    started: int = 0
    existed: int = 0
    next_line: int = 1
    under_way: Span | None = None
    """Lines whose answer hasn't come, so that nobody knows whether they were started."""

    def __str__(self) -> str:
        were = "1 run was" if self.started == 1 else f"{self.started:,} runs were"
        return f"{were} started" + (f", {self.existed:,} had been before" if self.existed else "")


def start_lines(client: sync.PgFlow, path: str, wanted: Wanted) -> None:
    """Start a run for each line of a file, or of standard input, and print how many, or their ids as lines of JSON.

    Lines are started in their order, so whatever ends it early, all before a certain line have been started and none
    from there on; the message names it. Raises InvalidInput, ConnectionLost or SchemaError with that message.
    """
    tally, began = Tally(), monotonic()
    with open_source(path) as source, Interruptions() as interruptions:
        try:
            with _progress(source, wanted, tally) as advance:
                for batch in source.batches(wanted.key_field):
                    _start(client, source, batch, wanted, tally, interruptions)
                    advance()
        except KeyboardInterrupt:
            errors.print(f"interrupted: {_where(source, wanted, tally)}", highlight=False, soft_wrap=True, markup=False)
            raise
        except (PgFlowError, psycopg.Error) as error:
            raise _explained(error, source, wanted, tally) from error
    told = errors if wanted.json else results
    told.print(f"{tally} in {monotonic() - began:.1f} s", highlight=False)


def _start(
    client: sync.PgFlow, source: Source, batch: list[Line], wanted: Wanted, tally: Tally, interruptions: Interruptions
) -> None:
    """Start these lines; where one of them is refused, those before it. Raises InvalidInput that names the line."""
    tally.under_way = batch[0].number, batch[-1].number
    try:
        with interruptions.held():
            runs = client.start_flows(
                wanted.flow,
                [line.value for line in batch],
                keys=None if wanted.key_field is None else [line.key for line in batch],
                tags=wanted.tags,
                delay=wanted.delay,
                at=wanted.at,
            )
            _note(batch, runs, wanted, tally)
    except InvalidInput as error:
        tally.under_way = None
        if len(batch) == 1:
            raise source.bad_line(batch[0].number, error) from error
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            _start(client, source, part, wanted, tally, interruptions)


def _note(batch: list[Line], runs: list[sync.Run], wanted: Wanted, tally: Tally) -> None:
    tally.under_way = None
    tally.next_line = batch[-1].number + 1
    tally.existed += sum(run.existed for run in runs)
    tally.started += sum(not run.existed for run in runs)
    if wanted.json:
        for line, run in zip(batch, runs, strict=True):
            print_json({"line": line.number, "run_id": run.run_id, "existed": run.existed})


def _where(source: Source, wanted: Wanted, tally: Tally) -> str:
    """Return how far it got, and how to go on."""
    command = shlex.join([command_name(), "start", wanted.flow, *_options(wanted)])
    if tally.under_way is None:
        return f"{tally}; {source.going_on(tally.next_line, command)}"
    first, last = tally.under_way
    unknown = f"{tally}, and nobody knows about lines {first} to {last}, whose answer hasn't come"
    if wanted.key_field is not None:
        return f"{unknown}; their keys make it safe to start them again: {source.going_on(first, command)}"
    return f"{unknown}: look at the newest runs, then {source.going_on(first, command)}"


def _options(wanted: Wanted) -> list[str]:
    options = [] if wanted.key_field is None else ["--key-field", wanted.key_field]
    options += [word for tag in wanted.tags for word in ("--tag", tag)]
    options += [] if wanted.delay is None else ["--delay", f"{wanted.delay:g}"]
    options += [] if wanted.at is None else ["--at", wanted.at.isoformat()]
    return [*options, "--json"] if wanted.json else options


def _explained(error: Exception, source: Source, wanted: Wanted, tally: Tally) -> Exception:
    """Return an error that says how far it got, of a kind with the same exit code; itself at the beginning."""
    is_unknown = isinstance(error, ConnectionLost) and tally.under_way is not None
    if tally.next_line == 1 and not is_unknown:
        return error
    if not is_unknown:
        tally.under_way = None  # the database has refused it
    message = f"{error}; {_where(source, wanted, tally)}"
    match error:
        case ConnectionLost():
            return ConnectionLost(message)
        case SchemaError() | psycopg.Error():
            return SchemaError(message)
        case _:
            return InvalidInput(message)


@contextmanager
def _progress(source: Source, wanted: Wanted, tally: Tally) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal: of the file's size, or without an end where that isn't known."""
    columns = (
        TextColumn("starting {task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn() if source.size is not None else TextColumn(""),
        TextColumn("{task.fields[count]:,} runs"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        bar = progress.add_task(wanted.flow, total=source.size, count=0)
        yield lambda: progress.update(bar, completed=source.consumed, count=tally.started + tally.existed, refresh=True)
