"""The loop that trades results for tasks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import Error as DriverError

from pgflow._async.connection import Database
from pgflow.errors import PgFlowError
from pgflow.types import StartedTask, TaskReport
from pgflow.worker.fetching import fetch_tasks
from pgflow.worker.outbox import Outbox, is_passing
from pgflow.worker.outcome import failed, report

logger = logging.getLogger("pgflow.worker")

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 30.0
_REST_OF_A_FLOW = 5.0


@dataclass(frozen=True, slots=True)
class PollInterval:
    """Seconds between two looks at an empty queue: `shortest` after work, growing to `longest` while there is none."""

    shortest: float = 0.02
    longest: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.longest:
            raise ValueError(
                f"poll intervals must satisfy 0 < shortest <= longest, not {self.shortest}, {self.longest}"
            )

    def next(self, previous: float) -> float:
        """Return the pause after `previous`: decorrelated jitter, so that workers spread out."""
        return random.uniform(self.shortest, min(previous * 3, self.longest))  # noqa: S311 - no secret


class ExchangeLoop:
    """Reports what has ended and fetches what there is room for, until it is drained.

    While one exchange is in flight finished tasks pile up, and the next exchange reports them all. Nothing is fetched
    beyond `concurrency` tasks. A flow that can't be fetched from, because it was deleted for example, rests for some
    seconds while the others go on.
    """

    def __init__(
        self,
        database: Database,
        worker_ids: Mapping[str, UUID],
        execute: Callable[[StartedTask], Coroutine[Any, Any, TaskReport]],
        *,
        concurrency: int,
        poll_interval: PollInterval,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self._database = database
        self._worker_ids = worker_ids
        self._execute = execute
        self._concurrency = concurrency
        self._poll_interval = poll_interval
        self._accepting = set(worker_ids)
        self._resting_until: dict[str, float] = {}
        self._running: dict[asyncio.Task[TaskReport], StartedTask] = {}
        self._taken_away: set[asyncio.Task[TaskReport]] = set()
        self._outbox = Outbox(database)
        self._abandoned = False
        self._wake = asyncio.Event()

    @property
    def unfinished(self) -> int:
        """Number of tasks that run or aren't reported yet."""
        return len(self._running) + len(self._outbox)

    def is_fetching(self, flow_slug: str) -> bool:
        """Whether new tasks of this flow are taken."""
        return flow_slug in self._accepting

    def stop_fetching(self, flow_slug: str | None = None) -> None:
        """Take no new tasks of this flow, or of any; :meth:`run` returns when nothing is left to fetch or report."""
        if flow_slug is None:
            self._accepting.clear()
        else:
            self._accepting.discard(flow_slug)
        self._wake.set()

    def held(self) -> list[StartedTask]:
        """Return the tasks that run."""
        return list(self._running.values())

    def take_away(self, task: StartedTask) -> None:
        """Cancel the handler of a task that isn't this worker's any more; nothing is reported."""
        for running, held in self._running.items():
            if held is task:
                self._taken_away.add(running)
                running.cancel()

    def abandon(self) -> None:
        """Cancel the tasks that run, and fetch no more. They aren't reported; recovery gives them to somebody else."""
        self._abandoned = True
        self.stop_fetching()
        for running in self._running:
            running.cancel()

    async def run(self) -> None:
        """Exchange until fetching has been stopped and everything is reported."""
        pause = self._poll_interval.shortest
        backoff = _FIRST_BACKOFF
        while self._accepting or self.unfinished:
            self._wake.clear()
            try:
                busy = await self._exchange()
            except (PgFlowError, DriverError) as error:
                logger.warning("exchange with the database failed, next try in about %.1f s: %s", backoff, error)
                await self._wait_for_news(backoff * random.uniform(0.5, 1))  # noqa: S311 - no secret
                backoff = min(backoff * 2, _LONGEST_BACKOFF)
                continue
            backoff = _FIRST_BACKOFF
            pause = self._poll_interval.shortest if busy else self._poll_interval.next(pause)
            if not busy and (self._accepting or self._running):
                await self._wait_for_news(pause if self._has_room() else None)

    async def _exchange(self) -> bool:
        """Report and fetch once. Returns whether it is worth doing again at once."""
        reported = await self._outbox.deliver()
        fetched = await self._fetch()
        return bool(self._outbox) or ((reported or fetched) and self._has_room())

    async def _fetch(self) -> bool:
        fetched = False
        for flow_slug in self._flows_to_ask():
            room = self._concurrency - len(self._running)
            if room > 0 and self.is_fetching(flow_slug):
                fetched |= await self._fetch_from(flow_slug, room)
        return fetched

    def _flows_to_ask(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        flow_slugs = [slug for slug in self._accepting if self._resting_until.get(slug, now) <= now]
        random.shuffle(flow_slugs)  # nobody is always first
        return flow_slugs

    async def _fetch_from(self, flow_slug: str, room: int) -> bool:
        try:
            fetched = await self._database.run(fetch_tasks(flow_slug, self._worker_ids[flow_slug], room))
        except (PgFlowError, DriverError) as error:
            if is_passing(error):
                raise
            self._let_rest(flow_slug, error)
            return False
        for failure in fetched.unreadable:
            self._outbox.add(failure)
        for task in fetched.tasks:
            self._start(task)
        return bool(fetched)

    def _let_rest(self, flow_slug: str, error: Exception) -> None:
        logger.error("can't fetch tasks of flow %s, next try in %g s: %s", flow_slug, _REST_OF_A_FLOW, error)
        self._resting_until[flow_slug] = asyncio.get_running_loop().time() + _REST_OF_A_FLOW

    def _start(self, task: StartedTask) -> None:
        if self._abandoned:  # while the fetch was in flight
            return
        running = asyncio.create_task(self._execute(task), name=f"{task.flow_slug}.{task.step_slug}[{task.task_index}]")
        self._running[running] = task
        running.add_done_callback(self._settle)

    def _settle(self, running: asyncio.Task[TaskReport]) -> None:
        task = self._running.pop(running)
        if running in self._taken_away:
            self._taken_away.discard(running)
        elif not running.cancelled():
            error = running.exception()
            self._outbox.add(report(task, failed(error)) if error else running.result())
        elif not self._abandoned:
            self._outbox.add(report(task, failed(asyncio.CancelledError("the handler cancelled itself"))))
        self._wake.set()

    def _has_room(self) -> bool:
        return bool(self._accepting) and len(self._running) < self._concurrency

    async def _wait_for_news(self, seconds: float | None) -> None:
        """Wait until a task has ended or fetching is stopped, at most so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
