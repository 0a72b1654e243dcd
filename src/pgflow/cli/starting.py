"""`pgflow start`."""

from __future__ import annotations

import dataclasses
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pgflow import arguments, sync
from pgflow.cli.arguments import read_age
from pgflow.cli.bulk import Wanted, start_lines
from pgflow.cli.completing import complete_flow
from pgflow.cli.hints import hint_without_worker
from pgflow.cli.live import print_run, watch
from pgflow.cli.output import JsonOption, UrlOption, errors, print_json, results, run_as_json
from pgflow.errors import InvalidInput
from pgflow.serialize import decode
from pgflow.types import Json


def start(
    flow: Annotated[str, typer.Argument(metavar="FLOW", autocompletion=complete_flow, help="Slug of the flow.")],
    input_: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="JSON",
            help="The input: JSON, @file, or - for standard input. Default: {}, an empty object.",
        ),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            "--inputs",
            metavar="FILE",
            help="Start a run for each line of FILE, or of standard input (-): each line is one input as JSON.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Where a run of the flow has this key, take that one instead of starting another."
        ),
    ] = None,
    key_field: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --inputs: the field of each line that holds its key, such as an id."),
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Write a tag on what is started; may be repeated.")
    ] = None,
    delay: Annotated[
        str | None, typer.Option(metavar="TIME", help="Let the first tasks wait so long: 90 (seconds), 10m, 2h, 7d.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Let the first tasks wait until 2030-01-31T09:00+01:00.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; the exit code says how it ended.")] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds to wait at most.")] = None,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Start a run of a flow and print its id, or a run for each line of JSON and print how many.

    With --wait it says after some seconds, on standard error, if no worker of the flow is running.
    """
    wait_for, at_time = _seconds(delay), _instant(at)
    if inputs is not None:
        _refuse_with_inputs(("--input", input_), ("--key", key), ("--wait", wait or None), ("--timeout", timeout))
        wanted = Wanted(flow, key_field, tuple(arguments.tags(tags or ())), wait_for, at_time, json)
        with sync.PgFlow(url) as client:
            start_lines(client, inputs, wanted)
        return
    if key_field is not None:
        raise InvalidInput("--key-field is for the lines of --inputs; one run takes --key")
    value = read_input("{}" if input_ is None else input_)
    with sync.PgFlow(url) as client:
        run = client.start_flow(flow, value, key=key, tags=tags or (), delay=wait_for, at=at_time)
        if run.existed:
            errors.print("a run with this key was there", highlight=False)
        if not wait:
            print_json(_as_json(run)) if json else results.print(str(run.run_id), highlight=False)
            return
        with hint_without_worker(client, flow):
            if json or not errors.is_terminal:
                run.wait(timeout)
            else:
                errors.print(f"run {run.run_id}", highlight=False)
                watch(client, run, errors, timeout=timeout)
        run.refresh()
        print_json(run_as_json(run.row, run.steps)) if json else print_run(client, run, results)
        run.result(timeout=0)


def _as_json(run: sync.Run) -> dict[str, Json]:
    return {**dataclasses.asdict(run.row), "existed": run.existed}


def _refuse_with_inputs(*options: tuple[str, object]) -> None:
    for name, value in options:
        if value is not None:
            hint = "; --key-field names the field that holds it" if name == "--key" else ""
            raise InvalidInput(f"{name} is for one run, and --inputs starts many: leave one of them out{hint}")


def _seconds(text: str | None) -> float | None:
    """Return the seconds that --delay means. Raises InvalidInput for what is no length of time."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return read_age(text, "--delay").total_seconds()


def _instant(text: str | None) -> datetime | None:
    """Return the time that --at means. Raises InvalidInput for what is none, or has no time zone."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"--at {text!r} is no time; write it like 2030-01-31T09:00:00+01:00") from None
    if found.utcoffset() is None:
        raise InvalidInput(f"--at {text!r} has no time zone; add Z for UTC, or an offset like +01:00")
    return found


def read_input(text: str) -> Json:
    """Return the value that --input means. Raises InvalidInput that says what is wrong with it and where."""
    source = "--input"
    if text == "-":
        source, text = "standard input", sys.stdin.read()
    elif text.startswith("@"):
        source = text[1:]
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"can't read the input from {source}: {error}") from error
    try:
        return decode(text)
    except InvalidInput as error:
        hint = "; on a shell, put JSON into single quotes" if source == "--input" else ""
        raise InvalidInput(f"{source} is {error}{hint}") from error
