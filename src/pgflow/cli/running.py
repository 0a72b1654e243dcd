"""`pgflow run`."""

from __future__ import annotations

from typing import Annotated

import typer

from pgflow import sync
from pgflow.cli.live import print_run, watch
from pgflow.cli.output import JsonOption, UrlOption, print_json, results, run_as_json


def run(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Id of the run.")],
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Follow the run until it ends.")] = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Show a run and its steps."""
    with sync.PgFlow(url) as client:
        found = client.get_run_with_states(run_id)
        if watching and not json:
            watch(found, results)
        if json:
            print_json(run_as_json(found.row, found.steps))
        else:
            print_run(found, results)
