"""Leases: messages of running tasks stay invisible, and a task that was taken away loses its handler."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from pgflow import calls
from pgflow._async.connection import Database
from pgflow.types import StartedTask
from pgflow.worker.service import PeriodicService

logger = logging.getLogger("pgflow.worker")

TaskKey: TypeAlias = tuple[object, ...]

_LOOKS_PER_INTERVAL: Final = 4


class Leases:
    """Asks the database which of the tasks that have been held for a while are still this worker's.

    A task is taken away when its run has failed or was cancelled, or when it was taken for stalled and put back. Then
    nobody wants the outcome. The database is asked once per interval at most, about tasks that were held for half of
    one: who has none of those, because they are quick or there are none, doesn't ask.
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
        self._interval = 1.0
        self._asked_at = float("-inf")
        self._seen_since: dict[TaskKey, float] = {}

    def service(self, interval: float) -> PeriodicService:
        """Return the service that asks every `interval` seconds, if there is something to ask."""
        self._interval = interval
        return PeriodicService("leases", interval / _LOOKS_PER_INTERVAL, self.tick)

    async def tick(self) -> None:
        """Extend the leases of the tasks that were held for a while, and take away those that are lost."""
        now = time.monotonic()
        lasting = self._lasting(now)
        if not lasting or now - self._asked_at < self._interval * 0.9:  # looks don't come on the dot
            return
        self._asked_at = now
        kept = await self._database.run(calls.extend_leases(lasting))
        for position, task in enumerate(lasting):
            if position not in kept:
                self._lose(task)

    def _lasting(self, now: float) -> list[StartedTask]:
        """Return the tasks that were held half an interval ago and are now."""
        held = self._held()
        self._seen_since = {key: self._seen_since.get(key, now) for key in map(_key, held)}
        return [task for task in held if now - self._seen_since[_key(task)] >= self._interval / 2]

    def _lose(self, task: StartedTask) -> None:
        if _key(task) not in {_key(held) for held in self._held()}:  # it has ended meanwhile
            return
        logger.info("%s[%d] of run %s was taken away", task.step_slug, task.task_index, task.run_id)
        self._take_away(task)


def _key(task: StartedTask) -> TaskKey:
    return task.run_id, task.step_slug, task.task_index, task.attempt
