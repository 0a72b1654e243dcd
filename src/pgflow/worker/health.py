"""How a process and its database are doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pgflow.types import QueueDepth
from pgflow.worker.heartbeat import LONGEST_INTERVAL
from pgflow.worker.state import WorkerState

STALE_SECONDS = 1.5 * LONGEST_INTERVAL
"""Who hasn't been heard of for that long is taken for stale."""


class HealthStatus(StrEnum):
    """`down`: nothing can be done. `degraded`: it works, but somebody should look."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """A worker of this process. `heartbeat_age` is in seconds; None before the first heartbeat and after the last."""

    name: str
    flow_slugs: tuple[str, ...]
    state: WorkerState
    stop_reason: str | None
    running_tasks: int
    heartbeat_age: float | None
    abandoned_threads: int
    accepts_tasks: bool

    def problems(self) -> list[str]:
        """Say what is wrong with it."""
        found = []
        name = f"the worker of {', '.join(self.flow_slugs)}"
        if self.stop_reason == "broken":
            found.append(f"{name} has broken down; its log says why")
        elif self.stop_reason == "deprecated":
            found.append(f"{name} was asked to leave by the database; start the process anew")
        if self.heartbeat_age is not None and self.heartbeat_age > STALE_SECONDS:
            found.append(f"{name} has had no heartbeat for {self.heartbeat_age:.0f} s")
        if not self.accepts_tasks:
            found.append(f"{name} has {self.abandoned_threads} threads that don't end and gives tasks back; restart it")
        return found


@dataclass(frozen=True, slots=True)
class Health:
    """What :meth:`pgflow.PgFlow.health_check` has found.

    `database_seconds` is how long the database took to answer, None if it didn't; `problems` are sentences for people.
    `queues` has the flows of the application and its workers by slug, as far as they are registered.
    """

    status: HealthStatus
    problems: tuple[str, ...] = ()
    database_seconds: float | None = None
    workers: tuple[WorkerHealth, ...] = ()
    queues: Mapping[str, QueueDepth] = field(default_factory=dict)


def judge(
    database: float | str, workers: tuple[WorkerHealth, ...], queues: Mapping[str, QueueDepth], unknown: list[str]
) -> Health:
    """Decide on the status. `database` is the time it took, or why it failed; `unknown` are flows not registered."""
    problems = [problem for worker in workers for problem in worker.problems()]
    problems += [f"flow {slug} isn't registered in this database; `pgflow compile` does that" for slug in unknown]
    if isinstance(database, str):
        return Health(HealthStatus.DOWN, (database, *problems), None, workers, queues)
    is_down = bool(workers) and all(worker.stop_reason == "broken" for worker in workers)
    status = HealthStatus.DOWN if is_down else HealthStatus.DEGRADED if problems else HealthStatus.OK
    return Health(status, tuple(problems), database, workers, queues)
