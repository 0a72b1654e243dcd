"""`pgflow graph`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from pgflow import graph as graphs
from pgflow import sync
from pgflow.cli.completing import complete_flow
from pgflow.cli.loading import load_flows, only_named
from pgflow.cli.output import JsonOption, UrlOption, print_json
from pgflow.graph import FlowShape


def graph(
    flow: Annotated[
        str,
        typer.Argument(
            metavar="FLOW|APP",
            autocompletion=complete_flow,
            help="Slug of a flow in the database, or module:attribute, which needs no database.",
        ),
    ],
    format_: Annotated[
        Literal["text", "mermaid", "dot"], typer.Option("--format", "-f", help="What to draw it with.")
    ] = "text",
    only: Annotated[
        list[str] | None, typer.Option("--flow", metavar="SLUG", help="Of an APP, only this flow; can be repeated.")
    ] = None,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Draw a flow: on the terminal, or in the language of Mermaid or Graphviz (dot)."""
    shapes = _shapes(flow, only or [], url)
    if json:
        for shape in shapes:
            print_json({"flow_slug": shape.slug, **graphs.to_json(shape)})
        return
    draw = {"text": graphs.text, "mermaid": graphs.mermaid, "dot": graphs.dot}[format_]
    typer.echo("\n".join(draw(shape) for shape in shapes), nl=False)


def _shapes(flow: str, only: Sequence[str], url: str | None) -> list[FlowShape]:
    if ":" in flow:
        return [found.flow_shape for found in only_named(load_flows(flow), only)]
    with sync.PgFlow(url) as client:
        return [client.get_flow(flow)]
