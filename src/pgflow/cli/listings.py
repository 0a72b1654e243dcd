"""`pgflow runs`, `pgflow flows` and `pgflow workers`."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from pgflow import sync
from pgflow.cli.arguments import read_instant
from pgflow.cli.completing import complete_flow
from pgflow.cli.output import STYLES, JsonOption, UrlOption, age, errors, print_json, results
from pgflow.cli.tables import Column, print_line, print_rows
from pgflow.cli.top import RUN_COLUMNS, run_cells, watch_runs
from pgflow.graph import FlowDefinition, StepShape
from pgflow.types import Json, RunStatus, WorkerRow

FlowFilter = Annotated[
    list[str] | None,
    typer.Option("--flow", metavar="SLUG", autocompletion=complete_flow, help="Only this flow; can be repeated."),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="Rows at most.")]
_FLOW_COLUMNS = (
    Column("flow", shrinks=True),
    Column("type"),
    Column("steps", right=True),
    Column("attempts", right=True),
    Column("delay", right=True),
    Column("timeout", right=True),
    Column("registered", right=True),
)
_WORKER_COLUMNS = (
    Column("status"),
    Column("flow", shrinks=True),
    Column("name", shrinks=True),
    Column("heard", right=True),
    Column("age", right=True),
    Column("worker_id", shrinks=True),
)


def runs(
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            autocompletion=lambda: list(RunStatus),
            help="Only started, completed or failed ones; can be repeated.",
        ),
    ] = None,
    flow: FlowFilter = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Started since then: 2h (ago), 7d, 2025-01-31, 2025-01-31T09:30.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only with this tag; repeated, with all of them.")
    ] = None,
    limit: LimitOption = 20,
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Show them live, until Ctrl-C.")] = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """List runs, newest first."""
    earliest = None if since is None else read_instant(since, "--since")
    filters: dict[str, Any] = {"status": status or None, "flow": flow or None, "since": earliest, "tags": tag or ()}
    with sync.PgFlow(url) as client:
        if watching:
            watch_runs(client, filters, limit, as_json=json)
            return
        page = client.list_runs(**filters, limit=limit)
        rows = [run.row for run in page]
    if json:
        for row in rows:
            print_json(row)
    elif rows:
        print_rows(results, RUN_COLUMNS, [run_cells(row) for row in rows])
    if not rows:
        _say("no runs" + (" like that" if any(filters.values()) else ""))
    elif page.next_cursor is not None:
        _say(f"there are more; --limit {limit * 5} shows them")


def flows(json: JsonOption = False, url: UrlOption = None) -> None:
    """List the flows that are registered in the database."""
    with sync.PgFlow(url) as client:
        found = client.list_flows()
    if json:
        for flow in found:
            print_json(flow_as_json(flow))
    elif found:
        print_rows(results, _FLOW_COLUMNS, [_flow_cells(flow) for flow in found])
    if not found:
        _say("no flows; register some with `pgflow compile APP`")


def workers(
    flow: FlowFilter = None,
    everyone: Annotated[bool, typer.Option("--all", "-a", help="Those that have stopped, too.")] = False,
    limit: LimitOption = 20,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """List workers: who is alive, deprecated (finishes its tasks and leaves), or stale (silent for 30 seconds)."""
    with sync.PgFlow(url) as client:
        found = client.list_workers(flow=flow or None, with_stopped=everyone, limit=limit + 1)
    shown = found[:limit]
    if json:
        for worker in shown:
            print_json(worker)
    elif shown:
        print_rows(results, _WORKER_COLUMNS, [_worker_cells(worker) for worker in shown])
    if not shown:
        _say("no workers" + ("" if everyone or flow else "; start one with `pgflow worker APP`"))
    elif len(found) > limit:
        _say(f"there are more; --limit {limit * 5} shows them")


def flow_as_json(flow: FlowDefinition) -> Json:
    """Return a definition by the names of the columns of `pgflow.flows` and `pgflow.steps`."""
    return {
        "flow_slug": flow.slug,
        "flow_type": flow.flow_type,
        "opt_max_attempts": flow.max_attempts,
        "opt_base_delay": flow.base_delay,
        "opt_timeout": flow.timeout,
        "created_at": flow.created_at,
        "steps": [_step_as_json(step) for step in flow.steps],
    }


def _step_as_json(step: StepShape) -> Json:
    values = dataclasses.asdict(step)
    options = {f"opt_{name}": values.pop(name) for name in ("max_attempts", "base_delay", "timeout", "start_delay")}
    return {"step_slug": values.pop("slug"), **values, **options}


def _flow_cells(flow: FlowDefinition) -> list[Text | str]:
    return [
        Text(flow.slug, style="bold"),
        flow.flow_type,
        str(len(flow.steps)),
        str(flow.max_attempts),
        f"{flow.base_delay}s",
        f"{flow.timeout}s",
        age(flow.created_at, datetime.now(UTC)),
    ]


def _worker_cells(worker: WorkerRow) -> list[Text | str]:
    now = datetime.now(UTC)
    return [
        Text(worker.status, style=STYLES.get(worker.status, "")),
        worker.queue_name,
        worker.function_name,
        age(worker.last_heartbeat_at, now),
        age(worker.started_at, worker.stopped_at or now),
        str(worker.worker_id),
    ]


def _say(hint: str) -> None:
    """Tell people what rows don't say; who reads standard output isn't bothered."""
    print_line(errors, hint)
