"""`pgflow worker`."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer

from pgflow import PgFlow
from pgflow.cli.loading import AppArgument, load_flows, only_named
from pgflow.cli.output import UrlOption


def worker(
    app: AppArgument,
    url: UrlOption = None,
    flow: Annotated[list[str] | None, typer.Option("--flow", help="Work only this flow; can be repeated.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Handlers at once.")] = 10,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds that handlers get to finish at the end.")] = 30,
) -> None:
    """Work the tasks of an application's flows until Ctrl-C or SIGTERM; a second one ends at once."""
    logging.getLogger("pgflow").setLevel(logging.INFO)
    flows = only_named(load_flows(app), flow or [])

    async def work() -> None:
        async with PgFlow(url, flows=flows) as client:
            await client.run_worker(concurrency=concurrency, timeout=timeout)

    asyncio.run(work())
