"""The one loop of all background services."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from psycopg import Error as DriverError

from pgflow.errors import PgFlowError
from pgflow.worker.outage import Outage

logger = logging.getLogger("pgflow.worker")


class PeriodicService:
    """Calls `tick` every `interval` seconds, the first time after `first` (default: one interval).

    A tick that raises is logged, once a minute when the database is away. Intervals vary by a tenth, so that
    workers that were started together don't stay in step.
    """

    def __init__(
        self, name: str, interval: float, tick: Callable[[], Awaitable[object]], *, first: float | None = None
    ) -> None:
        if interval <= 0:
            raise ValueError(f"the interval of {name} must be positive, not {interval}")
        self._name = name
        self._interval = interval
        self._first = interval if first is None else first
        self._tick = tick
        self._outage = Outage(f"{name} of the worker failed; it goes on")
        self._stopped = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the loop."""
        self._task = asyncio.create_task(self._loop(), name=f"pgflow-{self._name}")

    async def stop(self) -> None:
        """End the loop, in the middle of a tick if need be; again is fine."""
        self._stopped = True  # Python 3.11 may lose a cancellation that meets an answer of the database
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _loop(self) -> None:
        pause = self._first
        while not self._stopped:
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - no secret
            pause = self._interval
            try:
                await self._tick()
            except (PgFlowError, DriverError) as error:
                self._outage.tell(error)
            except Exception:
                logger.exception("%s failed and goes on", self._name)
            else:
                self._outage.end()
