"""`pgflow compile`."""

from __future__ import annotations

from typing import Annotated

import typer

from pgflow import sync
from pgflow.cli.loading import AppArgument, load_application
from pgflow.cli.output import UrlOption, results
from pgflow.graph import to_sql


def compile_flows(
    app: AppArgument,
    url: UrlOption = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print SQL that registers the flows, and change nothing.")] = False,
    allow_data_loss: Annotated[
        bool, typer.Option("--allow-data-loss", help="Delete a registered flow that differs, with all its runs.")
    ] = False,
) -> None:
    """Register the flows of an application in the database."""
    application = load_application(app)
    flows = application.flows
    for flow in flows:
        flow.check()
    if sql:
        for flow in flows:
            typer.echo("\n".join(to_sql(flow.flow_shape)))
        return
    with sync.PgFlow(url or application.url) as client:
        for flow in flows:
            status = client.ensure_compiled(flow, allow_data_loss=allow_data_loss)
            results.print(f"{flow.slug}: {status}", highlight=False)
