"""Calls for Supabase's platform, whose workers are functions that are pinged; elsewhere they aren't needed."""

from __future__ import annotations

from collections.abc import Sequence

from pgflow.calls.call import Call, Row, first_value, nothing


def is_local() -> Call[bool]:
    """Ask whether this is a local development server: `pgflow.is_local`."""
    return Call("select pgflow.is_local()", (), first_value)


def track_worker_function(function_name: str) -> Call[None]:
    """Say that a function shall be kept running: `pgflow.track_worker_function`."""
    return Call("select pgflow.track_worker_function(%s)", (function_name,), nothing)


def ensure_workers() -> Call[list[tuple[str, bool, int | None]]]:
    """Ping the functions that have no worker: `pgflow.ensure_workers`. Gives name, whether pinged, request id."""
    return Call("select function_name, invoked, request_id from pgflow.ensure_workers()", (), _rows)


def setup_ensure_workers_cron(cron_interval: str = "1 second") -> Call[str]:
    """Schedule `ensure_workers` with pg_cron: `pgflow.setup_ensure_workers_cron`. Gives what was done."""
    return Call("select pgflow.setup_ensure_workers_cron(%s)", (cron_interval,), first_value)


def setup_requeue_stalled_tasks_cron(cron_interval: str = "15 seconds") -> Call[str]:
    """Schedule recovery with pg_cron: `pgflow.setup_requeue_stalled_tasks_cron`. Gives what was done."""
    return Call("select pgflow.setup_requeue_stalled_tasks_cron(%s)", (cron_interval,), first_value)


def cleanup_ensure_workers_logs(retention_hours: int = 24) -> Call[int]:
    """Delete what pg_cron has logged: `pgflow.cleanup_ensure_workers_logs`. Gives the number of rows."""
    return Call("select cron_deleted from pgflow.cleanup_ensure_workers_logs(%s)", (retention_hours,), first_value)


def _rows(rows: Sequence[Row]) -> list[tuple[str, bool, int | None]]:
    return [(name, invoked, request_id) for name, invoked, request_id in rows]
