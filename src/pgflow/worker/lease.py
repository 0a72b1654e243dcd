"""Leases: messages of running tasks stay invisible, and a task that was taken away loses its handler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from pgflow import calls
from pgflow._async.connection import Database
from pgflow.types import StartedTask
from pgflow.worker.service import PeriodicService

logger = logging.getLogger("pgflow.worker")

TaskKey: TypeAlias = tuple[object, ...]


class Leases:
    """Asks the database which of the tasks that have been held since the last time are still this worker's.

    A task is taken away when its run has failed or was cancelled, or when it was taken for stalled and put back. Then
    nobody wants the outcome. What ends within one interval is never asked about.
    """

    def __init__(
        self,
        database: Database,
        held: Callable[[], Sequence[StartedTask]],
        take_away: Callable[[StartedTask], None],
    ) -> None:
        self._database = database
        self._held = held
        self._take_away = take_away
        self._seen: set[TaskKey] = set()

    def service(self, interval: float) -> PeriodicService:
        """Return the service that does it every `interval` seconds."""
        return PeriodicService("leases", interval, self.tick)

    async def tick(self) -> None:
        """Extend the leases of the tasks held for longer than an interval, and take away those that are lost."""
        held = self._held()
        lasting = [task for task in held if _key(task) in self._seen]
        self._seen = {_key(task) for task in held}
        if not lasting:
            return
        kept = await self._database.run(calls.extend_leases(lasting))
        for position, task in enumerate(lasting):
            if position not in kept:
                self._lose(task)

    def _lose(self, task: StartedTask) -> None:
        if _key(task) not in {_key(held) for held in self._held()}:  # it has ended meanwhile
            return
        logger.info("%s[%d] of run %s was taken away", task.step_slug, task.task_index, task.run_id)
        self._take_away(task)


def _key(task: StartedTask) -> TaskKey:
    return task.run_id, task.step_slug, task.task_index, task.attempt
