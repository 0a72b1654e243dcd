"""All commands, and how errors end them."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import psycopg
import typer

from pgflow.cli import (
    checking,
    compiling,
    demo,
    developing,
    environment,
    exporting,
    graphing,
    listings,
    migrating,
    running,
    scaffolding,
    server,
    starting,
    upkeep,
    working,
)
from pgflow.cli.output import errors
from pgflow.errors import ConnectionLost, PgFlowError, RunFailed, SchemaError, WaitTimeout

app = typer.Typer(
    name="pgflow",
    help="Durable workflows that live in PostgreSQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("init")(scaffolding.init)
app.command("dev")(developing.dev)
app.command("check")(checking.check)
app.command("migrate")(migrating.migrate)
app.command("compile")(compiling.compile_flows)
app.command("export")(exporting.export)
app.command("worker")(working.worker)
app.command("start")(starting.start)
app.command("run")(running.run)
app.command("runs")(listings.runs)
app.command("flows")(listings.flows)
app.command("workers")(listings.workers)
app.command("graph")(graphing.graph)
app.command("prune")(upkeep.prune)
app.command("recover")(upkeep.recover)
app.add_typer(server.app, name="server")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pgflow {version('pgflow-py')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    if debug:
        os.environ["PGFLOW_DEBUG"] = "1"
    environment.load()


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a character shows another one
            stream.reconfigure(errors="replace")
    try:
        app()
    except (PgFlowError, psycopg.Error) as error:
        if os.environ.get("PGFLOW_DEBUG"):
            traceback.print_exception(error)
        message = " ".join(str(error).split())
        errors.print(f"pgflow: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(_exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _exit_code(error: Exception) -> int:
    match error:
        case RunFailed() | WaitTimeout():
            return 1
        case ConnectionLost() | SchemaError() | psycopg.Error():
            return 3
        case _:
            return 2
