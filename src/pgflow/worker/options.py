"""What a worker can be told, for those who pass it on."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from datetime import timedelta
from typing import TypedDict

from pgflow.worker.pace import PollInterval


class WorkerOptions(TypedDict, total=False):
    """The options of :class:`pgflow.Worker`, which says what they mean."""

    concurrency: int
    poll_interval: PollInterval | None
    heartbeat_interval: float
    recovery_interval: float
    retention: timedelta | None
    name: str | None
    executors: Mapping[str, Executor] | None
    processes: int | None
    transaction_connections: int
