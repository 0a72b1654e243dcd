"""Calls that clean up: what has stalled, what is old."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pgflow.calls.call import Call, first_value
from pgflow.types import PruneResult


def recover_stalled_tasks(threshold: float) -> Call[int]:
    """Put tasks back that are so many seconds overdue: `pgflow.recover_stalled_tasks`. Gives their number."""
    statement = "select recovered_count from pgflow.recover_stalled_tasks(%s::double precision)"
    return Call(statement, (threshold,), first_value)


def fail_stalled_tasks() -> Call[int]:
    """Fail the tasks that recovery has given up: `pgflow.fail_stalled_tasks`. Gives their number."""
    return Call("select pgflow.fail_stalled_tasks()", (), first_value)


def prune_data_older_than(
    retention_interval: timedelta, flow_slugs: Sequence[str] | None = None, batch_size: int | None = 1000
) -> Call[PruneResult]:
    """Delete a batch of what ended longer ago than the interval: `pgflow.prune_data_older_than`. Gives the numbers."""
    return Call(
        "select deleted_runs, deleted_step_states, deleted_step_tasks, deleted_workers, deleted_messages"
        " from pgflow.prune_data_older_than(%s, %s::text[], %s)",
        (retention_interval, None if flow_slugs is None else list(flow_slugs), batch_size),
        lambda rows: PruneResult(*rows[0]),
    )


def count_data_older_than(retention_interval: timedelta, flow_slugs: Sequence[str] | None = None) -> Call[PruneResult]:
    """Count what pruning would delete: `pgflow.count_data_older_than`. Gives the numbers."""
    return Call(
        "select run_count, step_state_count, step_task_count, worker_count, message_count"
        " from pgflow.count_data_older_than(%s, %s::text[])",
        (retention_interval, None if flow_slugs is None else list(flow_slugs)),
        lambda rows: PruneResult(*rows[0]),
    )
