"""`pgflow run`."""

from __future__ import annotations

from typing import Annotated

import typer

from pgflow import sync
from pgflow.cli.live import print_run, watch, watch_as_json
from pgflow.cli.output import JsonOption, UrlOption, print_json, results, run_as_json


def run(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Id of the run.")],
    watching: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow the run until it ends; with --json, a line for each change.")
    ] = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Show a run and its steps; with --watch, the exit code says how it ended."""
    with sync.PgFlow(url) as client:
        found = client.get_run_with_states(run_id)
        if watching and json:
            watch_as_json(client, found)
        elif watching:
            watch(client, found, results)
        if json and not watching:
            print_json(run_as_json(found.row, found.steps))
        elif not json:
            print_run(client, found, results)
        if watching:
            found.result(timeout=0)
