"""`pgflow migrate`."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
import typer

from pgflow import reference, schema
from pgflow.cli.output import UrlOption, results
from pgflow.database_url import describe, resolve_url, why_not


def migrate(
    url: UrlOption = None,
    print_sql: Annotated[
        bool, typer.Option("--print", help="Print the SQL of all migrations and change nothing.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Add what is missing to a schema that the reference's own migrations have made."),
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="With --adopt: remove again what it has added.")] = False,
) -> None:
    """Install schema pgflow, or bring it up to date."""
    if remove and (print_sql or not adopt):
        raise typer.BadParameter("--remove goes with --adopt, and without --print")
    if print_sql:
        typer.echo(reference.render() if adopt else schema.render())
        return
    target = resolve_url(url)
    try:
        with psycopg.connect(target, autocommit=True, connect_timeout=10) as connection:
            done = _adopted(connection, remove=remove) if adopt else _migrated(connection)
    except (psycopg.Error, UnicodeError) as error:
        raise why_not(target, error) from error
    results.print(f"{describe(target)}: {done}", markup=False, highlight=False, soft_wrap=True)


def _migrated(connection: psycopg.Connection[Any]) -> str:
    applied = ", ".join(migration.label for migration in schema.migrate(connection).applied)
    return f"applied {applied}" if applied else "nothing to do"


def _adopted(connection: psycopg.Connection[Any], *, remove: bool) -> str:
    if remove:
        return f"removed {len(reference.remove(connection).signatures)} functions and what told of them"
    adoption = reference.adopt(connection)
    return f"added {len(adoption.signatures)} functions to the reference's core {adoption.version}, changed nothing"
