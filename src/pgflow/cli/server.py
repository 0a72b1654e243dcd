"""`pgflow server`: the embedded PostgreSQL of this project."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pgflow import embedded
from pgflow.cli.output import results
from pgflow.server_programs import programs_for

app = typer.Typer(help="The embedded PostgreSQL of this project.", no_args_is_help=True)


@app.command()
def status() -> None:
    """Say whether it runs and where its data is."""
    server = embedded.find()
    state = f"runs at {server.url}" if server else "doesn't run; any command without --url starts it"
    results.print(f"{state}\ndata in {embedded.data_directory()}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def url() -> None:
    """Start or join it and print its URL, as in: psql "$(pgflow server url)"."""
    typer.echo(embedded.start().url)


@app.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
def psql(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[PSQL_ARGUMENT]…", help="What psql takes, like -c 'select 1'.")
    ] = None,
) -> None:
    """Start or join it and open its own psql, which needs no PostgreSQL on this machine."""
    server = embedded.start()
    program = str(programs_for(server.data_directory) / "psql")
    os.execv(program, [program, server.url, *(arguments or [])])  # noqa: S606 - no shell is wanted


@app.command()
def stop() -> None:
    """Stop it; the data stays."""
    results.print("stopped" if embedded.stop() else "it wasn't running")
