"""`pgflow start`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pgflow import sync
from pgflow.cli.live import print_run, watch
from pgflow.cli.output import JsonOption, UrlOption, errors, print_json, results, run_as_json
from pgflow.errors import InvalidInput
from pgflow.serialize import decode
from pgflow.types import Json


def start(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="Slug of the flow.")],
    input_: Annotated[
        str, typer.Option("--input", "-i", metavar="JSON", help="The input: JSON, @file, or - for standard input.")
    ] = "{}",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; the exit code says how it ended.")] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds to wait at most.")] = None,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Start a run of a flow and print its id."""
    value = read_input(input_)
    with sync.PgFlow(url) as client:
        run = client.start_flow(flow, value)
        if not wait:
            print_json(run.row) if json else results.print(str(run.run_id), highlight=False)
            return
        if json or not errors.is_terminal:
            run.wait(timeout)
        else:
            errors.print(f"run {run.run_id}", highlight=False)
            watch(client, run, errors, timeout=timeout)
        run.refresh()
        print_json(run_as_json(run.row, run.steps)) if json else print_run(client, run, results)
        run.result(timeout=0)


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
