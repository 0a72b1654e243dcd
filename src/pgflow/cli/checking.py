"""`pgflow check`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated

import typer
from psycopg import Error as DriverError

from pgflow import calls, sync
from pgflow.checks import Check, check_database
from pgflow.cli.loading import Application, load_application
from pgflow.cli.output import JsonOption, UrlOption, print_json, results
from pgflow.errors import PgFlowError
from pgflow.flow import Flow
from pgflow.serialize import encode

_SIGNS = {"ok": "✔", "warning": "!", "failed": "✘"}
_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


def check(
    app: Annotated[
        str | None, typer.Argument(metavar="[APP]", help="Compare the flows of module:attribute too, if given.")
    ] = None,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Look whether the database is ready for pgflow, and say what to do where it isn't.

    Ends with 0 when all is well or only warned of, 3 when the database can't be reached or isn't ready, and 1 when it
    is ready but a flow differs.
    """
    application = load_application(app) if app else Application(())
    url = url or application.url
    found = check_database(url)
    is_ready = not _any_failed(found)
    if is_ready and application.flows:
        found += _compare(application.flows, url)
    _print(found, as_json=json)
    if _any_failed(found):
        raise typer.Exit(1 if is_ready else 3)


def _any_failed(checks: list[Check]) -> bool:
    return any(check.status == "failed" for check in checks)


def _compare(flows: tuple[Flow, ...], url: str | None) -> list[Check]:
    with sync.PgFlow(url, listen=False) as client:
        return list(_compared(flows, client))


def _compared(flows: tuple[Flow, ...], client: sync.PgFlow) -> Iterator[Check]:
    for flow in flows:
        try:
            flow.check()
            status, differences = client.database.run(calls.compare_flow(flow.slug, encode(flow.shape)))
        except (PgFlowError, DriverError) as error:
            yield Check("flow", "failed", f"{flow.slug}: {' '.join(str(error).split())}")
            continue
        match status:
            case "missing":
                yield Check("flow", "warning", f"{flow.slug} isn't registered", "`pgflow compile` or a worker does it")
            case "mismatch":
                message = f"{flow.slug} differs from the database: {'; '.join(differences)}"
                remedy = "give it a new slug, or delete its runs with `pgflow compile APP --allow-data-loss`"
                yield Check("flow", "failed", message, remedy)
            case _:
                yield Check("flow", "ok", f"{flow.slug} is registered as it is in the code")


def _print(checks: list[Check], *, as_json: bool) -> None:
    if as_json:
        for check in checks:
            print_json(dataclasses.asdict(check))
        return
    for check in checks:
        style = _STYLES[check.status]
        results.print(
            f"[{style}]{_SIGNS[check.status]} {check.status:<7}[/] [bold]{check.name:<10}[/]", end=" ", soft_wrap=True
        )
        results.print(str(check), markup=False, highlight=False, soft_wrap=True)
