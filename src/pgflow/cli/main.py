"""All commands, and how errors end them."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Any

import psycopg
import typer

from pgflow.cli import (
    checking,
    compiling,
    controlling,
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
from pgflow.errors import ConnectionLost, PgFlowError, RunFailed, RunNotFound, SchemaError, WaitTimeout

app = typer.Typer(
    name="pgflow",
    help="Durable workflows that live in PostgreSQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BEGIN, DEFINE, RUN, LOOK, OPERATE = "Begin", "Define flows", "Run flows", "Look", "Operate"


def _add(name: str, function: Callable[..., None], panel: str, *examples: str) -> None:
    """Register a command; its help ends with examples, which docs/cli.md shows too."""
    app.command(name, rich_help_panel=panel, epilog="\n\n".join(examples))(function)


_add("demo", demo.demo, BEGIN, "pgflow demo", "pgflow demo README.md https://example.com")
_add("init", scaffolding.init, BEGIN, "pgflow init")
_add("dev", developing.dev, BEGIN, "pgflow dev flows:app")
_add("check", checking.check, BEGIN, "pgflow check", "pgflow check flows:app --json")
_add("migrate", migrating.migrate, BEGIN, "pgflow migrate", "pgflow migrate --print > pgflow.sql")
_add("compile", compiling.compile_flows, DEFINE, "pgflow compile flows:app", "pgflow compile flows:app --sql")
_add("export", exporting.export, DEFINE, "pgflow export flows:app --typescript > flows.ts")
_add("flows", listings.flows, DEFINE, "pgflow flows", "pgflow flows --json | jq -r .flow_slug")
_add(
    "graph",
    graphing.graph,
    DEFINE,
    "pgflow graph process_order",
    "pgflow graph flows:app --format mermaid",
    "pgflow graph flows:app --flow process_order --format dot | dot -Tsvg > flow.svg",
)
_add("worker", working.worker, RUN, "pgflow worker flows:app", "pgflow worker flows:app --reload")
_add(
    "start",
    starting.start,
    RUN,
    "pgflow start process_order --input '{\"number\": 7}'",
    "pgflow start process_order --input @order.json --wait",
    "pgflow start process_order --inputs orders.jsonl --key-field number",
)
_add(
    "runs",
    listings.runs,
    LOOK,
    "pgflow runs --status failed --since 1d",
    "pgflow runs --watch",
    "pgflow runs --flow process_order --json | jq -r .run_id",
)
_add("run", running.run, LOOK, "pgflow run RUN_ID --watch", "pgflow run RUN_ID --json | jq .output")
_add("workers", listings.workers, LOOK, "pgflow workers", "pgflow workers --all --flow process_order")
_add(
    "cancel",
    controlling.cancel,
    OPERATE,
    "pgflow cancel RUN_ID --reason 'wrong order'",
    "pgflow runs --tag import --json | jq -r .run_id | pgflow cancel -",
)
_add(
    "retry",
    controlling.retry,
    OPERATE,
    "pgflow retry RUN_ID",
    "pgflow runs --status failed --since 1h --json | jq -r .run_id | pgflow retry -",
)
_add(
    "prune",
    upkeep.prune,
    OPERATE,
    "pgflow prune --older-than 30d --dry-run",
    "pgflow prune --older-than 12h --flow process_order --yes",
)
_add("recover", upkeep.recover, OPERATE, "pgflow recover", "pgflow recover --buffer 0s")
app.add_typer(server.app, name="server", rich_help_panel=OPERATE)


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
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except (PgFlowError, psycopg.Error) as error:
        if os.environ.get("PGFLOW_DEBUG"):
            traceback.print_exception(error)
        _say(" ".join(str(error).split()) + _hint(error))
        sys.exit(_exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if not hasattr(error, "format_message"):  # the mark of a usage error, whose class Typer keeps to itself
            raise
        _explain_usage(error)
        sys.exit(2)


def _say(message: str) -> None:
    errors.print(f"pgflow: {message}", style="red", markup=False, highlight=False, soft_wrap=True)


def _explain_usage(error: Any) -> None:
    """Say in one line what is wrong with the arguments; show the help where there are none."""
    command = error.ctx.command_path if getattr(error, "ctx", None) else "pgflow"
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    message = " ".join(str(error.format_message()).split())
    said = f"{message[:1].lower()}{message[1:].removesuffix('.')}"
    _say(f"{said}{' ' if said.endswith('?') else '; '}`{command} --help` shows how to call it")


def _hint(error: Exception) -> str:
    """Return what to do about an error that doesn't say so itself, since it concerns programs too."""
    return "; `pgflow runs` lists those there are" if isinstance(error, RunNotFound) else ""


def _exit_code(error: Exception) -> int:
    match error:
        case RunFailed() | WaitTimeout():
            return 1
        case ConnectionLost() | SchemaError() | psycopg.Error():
            return 3
        case _:
            return 2
