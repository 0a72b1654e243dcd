"""`pgflow worker`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from pgflow import PgFlow, logs
from pgflow.cli.loading import AppArgument, load_flows, only_named
from pgflow.cli.output import UrlOption


def worker(
    app: AppArgument,
    url: UrlOption = None,
    flow: Annotated[list[str] | None, typer.Option("--flow", help="Work only this flow; can be repeated.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Handlers at once.")] = 10,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds that handlers get to finish at the end.")] = 30,
    log_format: Annotated[
        logs.Format, typer.Option(envvar="PGFLOW_LOG_FORMAT", help="auto: pretty on a terminal, JSON elsewhere.")
    ] = "auto",
    log_level: Annotated[
        logs.Level, typer.Option(envvar="PGFLOW_LOG_LEVEL", help="Of the logs of pgflow and of ctx.logger.")
    ] = "info",
) -> None:
    """Work the tasks of an application's flows until Ctrl-C or SIGTERM; a second one ends at once."""
    logs.configure(log_format, log_level)
    flows = only_named(load_flows(app), flow or [])

    async def work() -> None:
        async with PgFlow(url, flows=flows) as client:
            await client.run_worker(concurrency=concurrency, timeout=timeout)

    asyncio.run(work())
