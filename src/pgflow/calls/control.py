"""Calls that cancel and retry runs."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pgflow.calls.call import Call, Row
from pgflow.types import ControlledRun

_COLUMNS = "run_id, outcome, flow_slug, status, seconds, error_message"


def cancel_runs(run_ids: Sequence[UUID], reason: str | None = None) -> Call[list[ControlledRun]]:
    """Cancel runs: `pgflow.cancel_runs`. Gives what became of each, in any order."""
    statement = f"select {_COLUMNS} from pgflow.cancel_runs(%s::uuid[], %s::text)"
    return Call(statement, (list(run_ids), reason), _controlled)


def retry_runs(run_ids: Sequence[UUID]) -> Call[list[ControlledRun]]:
    """Let failed runs go on: `pgflow.retry_runs`. Gives what became of each, in any order."""
    return Call(f"select {_COLUMNS} from pgflow.retry_runs(%s::uuid[])", (list(run_ids),), _controlled)


def _controlled(rows: Sequence[Row]) -> list[ControlledRun]:
    return [ControlledRun(*row) for row in rows]
