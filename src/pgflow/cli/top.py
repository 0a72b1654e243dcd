"""`pgflow runs --watch`: the newest runs, live."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rich.console import Group
from rich.live import Live
from rich.text import Text

from pgflow import sync
from pgflow.cli.output import STYLES, age, errors, print_json, results, shown_status
from pgflow.cli.polling import Poll
from pgflow.cli.tables import Column, lines_of, print_line
from pgflow.database_url import describe
from pgflow.types import RunRow

RUN_COLUMNS = (
    Column("run_id"),
    Column("flow", shrinks=True),
    Column("status"),
    Column("left", right=True),
    Column("age", right=True),
    Column("took", right=True),
)
_LINES_AROUND = 3
_FRAME = 0.5


def run_cells(run: RunRow) -> list[Text | str]:
    """Return a run as a row of a table: `left` are its steps to do, `took` is the time to its end."""
    end = run.completed_at or run.failed_at
    return [
        str(run.run_id),
        Text(run.flow_slug, style="bold"),
        Text(shown_status(run), style=STYLES.get(shown_status(run), "")),
        "" if run.ended else str(run.remaining_steps),
        age(run.started_at, datetime.now(UTC)),
        age(run.started_at, end),
    ]


def watch_runs(client: sync.PgFlow, filters: dict[str, Any], limit: int, *, as_json: bool) -> None:
    """Show the newest runs until Ctrl-C: as a screen on a terminal, elsewhere each that is new or has changed."""

    def ask() -> list[RunRow]:
        rows = min(limit, max(results.height - _LINES_AROUND, 1)) if on_screen else limit
        return [run.row for run in client.list_runs(**filters, limit=rows)]

    on_screen = results.is_interactive and not as_json
    try:
        with Poll(ask(), ask) as poll:
            if on_screen:
                _show(poll, _title(client, filters))
            else:
                _tell(poll, as_json=as_json)
    except KeyboardInterrupt:  # the way to leave a screen that has no end
        return


def _show(poll: Poll[list[RunRow]], title: str) -> None:
    with Live(console=results, screen=True, auto_refresh=False) as live:
        rows = poll.wait(0)
        while True:
            live.update(picture(title, rows, poll.trouble, results.width, results.height), refresh=True)
            rows = poll.wait(_FRAME)


def picture(title: str, rows: list[RunRow], trouble: str | None, width: int, height: int) -> Group:
    """Return the screen: the database and the time, or what is wrong with it; then the runs that there is room for."""
    clock = datetime.now().strftime("%H:%M:%S")
    head = Text(f"{clock}  {title}", style="bold", no_wrap=True, overflow="ellipsis")
    if trouble:
        head = Text(f"{clock}  {trouble}", style="bold red", no_wrap=True, overflow="ellipsis")
    body = lines_of(RUN_COLUMNS, [run_cells(row) for row in rows], width) if rows else [Text("no runs", style="dim")]
    foot = Text("Ctrl-C leaves", style="dim")
    return Group(head, *body[: max(height - 2, 1)], foot)


def _tell(poll: Poll[list[RunRow]], *, as_json: bool) -> None:
    told: dict[UUID, RunRow] = {}
    rows, in_trouble = poll.wait(0), False
    while True:
        for row in _changed(rows, told):
            if as_json:
                print_json(row)
            else:
                print_line(results, Text("  ").join(_texts(row)))
        if poll.trouble and not in_trouble:
            print_line(errors, poll.trouble)
        in_trouble = poll.trouble is not None
        rows = poll.wait(_FRAME)


def _changed(rows: list[RunRow], told: dict[UUID, RunRow]) -> Iterator[RunRow]:
    """Yield the rows that are new or have changed, oldest first, and forget those that are no longer listed."""
    for row in reversed(rows):
        if told.get(row.run_id) != row:
            yield row
    told.clear()
    told.update({row.run_id: row for row in rows})


def _texts(row: RunRow) -> list[Text]:
    run_id, flow, status, left, _, took = (cell if isinstance(cell, Text) else Text(cell) for cell in run_cells(row))
    rest = Text(f"{left.plain} left" if left.plain else f"took {took.plain}")
    return [run_id, flow, status, rest]


def _title(client: sync.PgFlow, filters: dict[str, Any]) -> str:
    words = [f"{name} {_word(value)}" for name, value in filters.items() if value]
    database = describe(client.database.url) if client.database.url else ""
    return ", ".join([f"runs in {database}", *words])


def _word(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)
