"""`pgflow cancel` and `pgflow retry`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated
from uuid import UUID

import typer
from rich.text import Text

from pgflow import arguments, sync
from pgflow.cli.arguments import read_words
from pgflow.cli.output import STYLES, JsonOption, UrlOption, errors, print_json, results
from pgflow.cli.tables import GAP, print_line
from pgflow.cli.upkeep import YesOption, confirm
from pgflow.errors import RunNotFound

RunIds = Annotated[
    list[str], typer.Argument(metavar="RUN_ID…", help="Ids of runs; - stands for those on standard input.")
]
_RUNS_AT_ONCE = 500
_NOT_FOUND = "not_found"


def cancel(
    run_ids: RunIds,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept with the run.")] = None,
    yes: YesOption = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Cancel runs: nothing more of them is started, and nothing counts that their handlers still report.

    Says of each run what that made of it: cancelled, already_cancelled, or ended, by itself, before. More than one on
    a terminal are asked about first.
    """
    with sync.PgFlow(url) as client:
        _control("cancel", run_ids, lambda ids: client.cancel_runs(ids, reason=reason), yes=yes, as_json=json)


def retry(
    run_ids: RunIds,
    yes: YesOption = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Let failed or cancelled runs go on: what has completed keeps its output, the rest runs again.

    Says of each run what that made of it: retried, running or completed. More than one on a terminal are asked about
    first.
    """
    with sync.PgFlow(url) as client:
        _control("retry", run_ids, client.retry_runs, yes=yes, as_json=json)


def _control(
    verb: str,
    words: Sequence[str],
    call: Callable[[Sequence[UUID]], Mapping[UUID, str]],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Call for all runs and tell what became of each. Raises RunNotFound in the end when there are some without."""
    run_ids = list(dict.fromkeys(map(arguments.run_id, read_words(words))))
    if not run_ids:
        print_line(errors, f"no runs to {verb}")
        return
    if len(run_ids) > 1 and not yes and sys.stdin.isatty():
        confirm(f"{verb} {len(run_ids):,} runs?")
    missing: list[UUID] = []
    for start in range(0, len(run_ids), _RUNS_AT_ONCE):
        for run_id, outcome in call(run_ids[start : start + _RUNS_AT_ONCE]).items():
            _tell(run_id, outcome, as_json=as_json)
            missing += [run_id] if outcome == _NOT_FOUND else []
    if missing:
        raise RunNotFound(", ".join(map(str, missing[:3])) + (f" and {len(missing) - 3} more" if missing[3:] else ""))


def _tell(run_id: UUID, outcome: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"run_id": run_id, "outcome": outcome})
    elif outcome != _NOT_FOUND:
        print_line(results, Text.assemble(str(run_id), GAP, (str(outcome), STYLES.get(outcome, "dim"))))
