"""`pgflow prune` and `pgflow recover`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pgflow import sync
from pgflow.cli.arguments import read_age
from pgflow.cli.listings import FlowFilter
from pgflow.cli.output import JsonOption, UrlOption, print_json, results
from pgflow.cli.tables import print_line
from pgflow.errors import InvalidInput
from pgflow.types import PruneResult

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="What ended longer ago than this: 30d, 12h, 90m.")
    ],
    flow: FlowFilter = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    yes: YesOption = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Delete runs that ended long ago, with their steps, tasks and messages, and workers last heard of before that.

    Says what it would delete and asks first. Runs that go on stay, however old they are, and so do workers that are
    alive.
    """
    age = read_age(older_than, "--older-than")
    with sync.PgFlow(url) as client:
        if dry_run:
            counted = client.prune(age, flow or None, dry_run=True)
            print_json(counted) if json else print_line(results, f"would delete {_numbers(counted)}")
            return
        if not yes:
            confirm(f"delete {_numbers(client.prune(age, flow or None, dry_run=True))}?")
        deleted = client.prune(age, flow or None)
    print_json(deleted) if json else print_line(results, f"deleted {_numbers(deleted)}")


def recover(
    buffer: Annotated[
        str, typer.Option("--buffer", metavar="TIME", help="How long a task may be overdue, beyond its timeout.")
    ] = "30s",
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Put tasks back that have stalled: their worker hasn't reported within their timeout and a buffer.

    Workers do this by themselves; it is for when none is there.
    """
    seconds = read_age(buffer, "--buffer")
    with sync.PgFlow(url) as client:
        count = client.recover_stalled(seconds)
    print_json({"recovered_count": count}) if json else print_line(results, f"put back {_count(count, 'task')}")


def confirm(question: str) -> None:
    """Ask on the terminal. Raises Exit for a no, and InvalidInput where nobody can be asked."""
    if not sys.stdin.isatty():
        raise InvalidInput(f"{question.removesuffix('?')}: nobody is there to be asked; add --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(2)


def _numbers(result: PruneResult) -> str:
    return ", ".join(
        [
            _count(result.deleted_runs, "run"),
            _count(result.deleted_step_states, "step"),
            _count(result.deleted_step_tasks, "task"),
            _count(result.deleted_messages, "message"),
            _count(result.deleted_workers, "worker"),
        ]
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
