"""`pgflow export`."""

from __future__ import annotations

from typing import Annotated

import typer

from pgflow import graph
from pgflow.cli.loading import AppArgument, load_flows, only_named
from pgflow.errors import DefinitionError, PgFlowError


def export(
    app: AppArgument,
    flow: Annotated[
        list[str] | None, typer.Option("--flow", metavar="SLUG", help="Only this flow; may be repeated.")
    ] = None,
    typescript: Annotated[
        bool, typer.Option("--typescript", help="Write a module for the DSL of the TypeScript implementation.")
    ] = False,
    elixir: Annotated[
        bool, typer.Option("--elixir", help="Write modules in the DSL of the Elixir implementation.")
    ] = False,
) -> None:
    """Print the flows of an application in another language, for workers written in it.

    Steps have their names, dependencies and options; handlers are still to be written. What only Python has is left
    out: executors, bounds of the backoff, types.
    """
    if typescript == elixir:
        raise PgFlowError("say which language: --typescript or --elixir")
    shapes = []
    for each in only_named(load_flows(app), flow or ()):
        each.check()
        shapes.append(each.flow_shape)
    if elixir:
        typer.echo(graph.to_elixir(shapes), nl=False)
        return
    if found := [problem for shape in shapes for problem in graph.typescript_problems(shape)]:
        raise DefinitionError(["the TypeScript implementation refuses this", *found])
    typer.echo(graph.to_typescript(shapes), nl=False)
