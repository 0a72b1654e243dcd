"""How runs are started: which call it takes, and what becomes of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pgflow import arguments, calls
from pgflow._sync.connection import Database
from pgflow._sync.handle import Run, started_run
from pgflow.errors import InvalidInput
from pgflow.flow import Flow
from pgflow.types import RunRow


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What callers may say of the runs that they start; see :meth:`pgflow.PgFlow.start_flow`."""

    run_id: UUID | str | None = None
    delay: float | timedelta | None = None
    at: datetime | None = None
    keys: Iterable[str | None] | None = None
    tags: str | Iterable[str] = ()
    conn: object | None = None


def start_runs(
    database: Database, flow: Flow[Any, Any] | str, slug: str, inputs: Sequence[bytes], options: StartOptions
) -> list[Run[Any]]:
    """Start a run for each input, JSON text, that has no key or one that is free. Raises InvalidInput."""
    call = _call(slug, inputs, options)
    if not inputs:
        return []
    mark = database.watcher.mark()
    found = database.run(call, options.conn)
    return [started_run(database, flow, row, options.conn, existed=existed, mark=mark) for row, existed in found]


def _call(slug: str, inputs: Sequence[bytes], options: StartOptions) -> calls.Call[list[tuple[RunRow, bool]]]:
    """Return the plain call where it does, which costs nothing that isn't asked for."""
    if options.delay is not None and options.at is not None:
        raise InvalidInput("delay and at exclude each other: give one of them")
    delay, at = arguments.delay_seconds(options.delay), arguments.instant(options.at, "at")
    new_id = arguments.new_run_id(options.run_id)
    run_ids = None if new_id is None else [new_id]
    keys, tags = arguments.keys(options.keys, len(inputs)), arguments.tags(options.tags)
    if keys is None and not tags:
        plain = calls.start_flows(slug, inputs, run_ids, delay, at)
        return calls.Call(plain.sql, plain.arguments, lambda rows: [(row, False) for row in plain.decode(rows)])
    return calls.start_runs(slug, inputs, keys=keys, tags=tags, delay=delay, at=at, run_ids=run_ids)
