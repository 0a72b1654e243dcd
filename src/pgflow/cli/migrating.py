"""`pgflow migrate`."""

from __future__ import annotations

from typing import Annotated

import psycopg
import typer

from pgflow import schema
from pgflow.cli.output import UrlOption, results
from pgflow.database_url import describe, resolve_url, why_not


def migrate(
    url: UrlOption = None,
    print_sql: Annotated[
        bool, typer.Option("--print", help="Print the SQL of all migrations and change nothing.")
    ] = False,
) -> None:
    """Install schema pgflow, or bring it up to date."""
    if print_sql:
        typer.echo(schema.render())
        return
    target = resolve_url(url)
    try:
        with psycopg.connect(target, autocommit=True, connect_timeout=10) as connection:
            report = schema.migrate(connection)
    except (psycopg.Error, UnicodeError) as error:
        raise why_not(target, error) from error
    applied = ", ".join(migration.label for migration in report.applied)
    results.print(
        f"{describe(target)}: applied {applied}" if applied else f"{describe(target)}: nothing to do",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
