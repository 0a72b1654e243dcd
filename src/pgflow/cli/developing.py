"""`pgflow dev`."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from pgflow import PgFlow, SchemaError, calls, embedded, logs, reference, schema
from pgflow.cli.lifeline import EMBEDDED, Lifeline, LifelineOption
from pgflow.cli.loading import AppArgument, load_application
from pgflow.cli.output import UrlOption, command_name, errors
from pgflow.cli.samples import sample_input
from pgflow.cli.supervising import Supervisor
from pgflow.database_url import describe, given_url, resolve_url, why_not, without_password
from pgflow.flow import Flow
from pgflow.serialize import encode

GRACE_SECONDS = 5.0


def dev(
    app: AppArgument,
    url: UrlOption = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Handlers at once.")] = 10,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds that handlers get to finish when the worker starts anew, or ends.")
    ] = GRACE_SECONDS,
    log_format: Annotated[logs.Format, typer.Option(envvar="PGFLOW_LOG_FORMAT", help="How the log looks.")] = "pretty",
    log_level: Annotated[
        logs.Level, typer.Option(envvar="PGFLOW_LOG_LEVEL", help="Of the logs of pgflow and of ctx.logger.")
    ] = "info",
    lifeline: LifelineOption = None,
) -> None:
    """Run all that an application needs while you write it: database, schema, and a worker that follows your changes.

    Without a URL it is the embedded PostgreSQL, where a flow whose steps have changed is registered anew and loses its
    runs. Ctrl-C ends it all, the embedded server too unless somebody else uses it.
    """
    if lifeline is None:
        raise typer.Exit(_supervise(timeout))
    logs.configure(log_format, log_level)
    command = Lifeline(lifeline)
    command.hold()
    application = load_application(app)
    is_embedded = given_url(url or application.url) is None
    if is_embedded:
        command.tell(EMBEDDED)
    target = _prepare(url or application.url)
    client = application.at(url)

    async def work() -> None:
        async with client:
            fresh = await register(client, is_embedded=is_embedded)
            if not command.is_restart:
                _say_where(app, target, is_embedded=is_embedded)
            for shown in fresh if command.is_restart else client.flows:
                _say_how_to_start(shown)
            if not command.is_restart:
                _say("\nSave a file, and the worker starts anew. Ctrl-C ends it all.\n")
            await client.run_worker(concurrency=concurrency, timeout=timeout)

    asyncio.run(work())


def _supervise(grace: float) -> int:
    message = (
        "`pgflow dev` runs in this project already, process {process}; end it there with Ctrl-C, or run "
        "`pgflow worker APP` for one more worker"
    )
    with embedded.only_one("dev", message):
        supervisor = Supervisor(sys.argv[1:], Path.cwd(), grace=grace)
        try:
            return supervisor.run()
        finally:
            if supervisor.uses_embedded_server:
                _stop_server()


def _prepare(given: str | None) -> str:
    """Bring the database up to date. Return its URL."""
    with _quiet():
        target = resolve_url(given)
    if given_url(given) is not None:
        _migrate(target)
    return target


async def register(client: PgFlow, *, is_embedded: bool) -> list[Flow]:
    """Register the flows as they are in the code. Return those that are new.

    On the embedded server changed ones lose their runs, and options are those of the code. Elsewhere the database's own
    rule holds: only a local Supabase, known by its published secret, takes a changed flow.
    """
    fresh: list[Flow] = []
    for flow in client.flows:
        flow.check()
        runs = await client.count_runs(flow=flow)
        if is_embedded:
            call = calls.upsert_flow(flow.slug, encode(flow.shape), "if_changed")
            status, _ = await client.database.run(call)
        else:
            status = await client.ensure_compiled(flow)
        if status == "recompiled":
            _say(f"flow {flow.slug} has changed: it is registered anew, {_runs(runs)} deleted", style="yellow")
        if status == "compiled":
            fresh.append(flow)
    return fresh


def _runs(count: int) -> str:
    return "its one run is" if count == 1 else f"its {count:,} runs are"


def _migrate(url: str) -> None:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            if not _is_of_reference(connection):
                schema.migrate(connection)
    except (psycopg.Error, UnicodeError) as error:
        raise why_not(url, error) from error


def _is_of_reference(connection: psycopg.Connection[Any]) -> bool:
    """Whether others keep the schema up to date, with the migrations of the reference."""
    try:
        reference.detect(connection.execute(reference.DETECTION_QUERY).fetchall())
    except SchemaError:
        return False
    return True


def _say_where(reference: str, url: str, *, is_embedded: bool) -> None:
    place = f"{embedded.data_directory()}, in a PostgreSQL of this project" if is_embedded else describe(url)
    look = f"{command_name()} server psql" if is_embedded else f"psql {shlex.quote(without_password(url))}"
    _say(f"pgflow dev {reference}\n", style="bold")
    _say(f"  data   {place}")
    _say(f"  look   {look}")


def _say_how_to_start(flow: Flow) -> None:
    _say(f"  {flow.flow_type:<6} {flow.slug}: {', '.join(flow.steps)}")
    _say(f"  start  {command_name()} start {flow.slug} --input {shlex.quote(sample_input(flow))} --wait")


def _stop_server() -> None:
    if embedded.stop_unless_used():
        _say("the embedded server has stopped, the data stay")
    elif embedded.find() is not None:
        _say(f"the embedded server goes on, as others use it; `{command_name()} server stop` ends it")


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the remark that the embedded server is used; the first screen says so."""
    logger = logging.getLogger("pgflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _say(text: str, style: str | None = None) -> None:
    with suppress(OSError):  # the terminal may be gone
        errors.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
