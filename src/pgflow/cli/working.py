"""`pgflow worker`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from pgflow import PgFlow, PgFlowError, logs
from pgflow.cli.lifeline import Lifeline, LifelineOption
from pgflow.cli.loading import AppArgument, load_application
from pgflow.cli.output import UrlOption
from pgflow.cli.supervising import Supervisor
from pgflow.integrations import health

logger = logging.getLogger("pgflow.worker")


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
    health_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, envvar="PGFLOW_HEALTH_PORT", help="Serve /health and /metrics at this port."),
    ] = None,
    health_host: Annotated[
        str, typer.Option(envvar="PGFLOW_HEALTH_HOST", help="The address for --health-port; 0.0.0.0 is all.")
    ] = "127.0.0.1",
    reload: Annotated[
        bool, typer.Option("--reload", help="Start anew when a Python file here changes; for development.")
    ] = False,
    lifeline: LifelineOption = None,
) -> None:
    """Work the tasks of an application's flows until Ctrl-C or SIGTERM; a second one ends at once."""
    if reload and lifeline is None:
        raise typer.Exit(Supervisor(sys.argv[1:], Path.cwd(), grace=timeout).run())
    logs.configure(log_format, log_level)
    if lifeline is not None:
        Lifeline(lifeline).hold()
    client = load_application(app).at(url, flow or [])

    async def work() -> None:
        async with client, AsyncExitStack() as stack:
            if health_port is not None:
                await stack.enter_async_context(_health(client, health_host, health_port))
            await client.run_worker(concurrency=concurrency, timeout=timeout)

    asyncio.run(work())


@asynccontextmanager
async def _health(app: PgFlow, host: str, port: int) -> AsyncIterator[None]:
    """Serve the pages for probes meanwhile; Prometheus counts from now on if it is installed."""
    if find_spec("prometheus_client"):
        from pgflow.integrations import prometheus

        prometheus.instrument()
    async with AsyncExitStack() as stack:
        try:
            pages = await stack.enter_async_context(health.pages(app, host=host, port=port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
            message = (
                f"can't serve the health at {host}:{port}: {reason}; choose another --health-port or --health-host"
            )
            raise PgFlowError(message) from error
        logger.info("health at http://%s:%d/health", host, pages.port)
        yield
