"""Words for tests of cancelling and retrying runs."""

from __future__ import annotations

from uuid import UUID

from sql.engine import Connection, Row, RunId, define, exhaust, rows, run, start, state


def cancel(connection: Connection, *run_ids: RunId | None, reason: str | None = None) -> dict[UUID, str]:
    """Cancel runs and return what that made of each."""
    found = rows(connection, "select * from pgflow.cancel_runs(%s::uuid[], %s)", list(run_ids), reason)
    return {each["run_id"]: each["outcome"] for each in found}


def retry(connection: Connection, *run_ids: RunId | None) -> dict[UUID, str]:
    """Let failed runs go on and return what that made of each."""
    found = rows(connection, "select * from pgflow.retry_runs(%s::uuid[])", list(run_ids))
    return {each["run_id"]: each["outcome"] for each in found}


def cancel_one(connection: Connection, run_id: RunId, reason: str | None = None) -> str:
    """Cancel a run and return what that made of it."""
    [outcome] = cancel(connection, run_id, reason=reason).values()
    return outcome


def retry_one(connection: Connection, run_id: RunId) -> str:
    """Let a run go on and return what that made of it."""
    [outcome] = retry(connection, run_id).values()
    return outcome


def counters(connection: Connection, run_id: UUID, step_slug: str) -> tuple[int, int | None, int | None]:
    """Return what is left of a step: parents, tasks, and how many tasks it has."""
    found = state(connection, run_id, step_slug)
    return found["remaining_deps"], found["remaining_tasks"], found["initial_tasks"]


def failed_run(connection: Connection, *steps: str | Row, fails: str = "a", run_input: object = None) -> UUID:
    """Define a flow without second attempts and fail a run of it by one of its steps."""
    define(connection, *steps, max_attempts=1)
    run_id = start(connection, run_input or {})
    exhaust(connection, run_id, fails)
    assert run(connection, run_id)["status"] == "failed"
    return run_id
