"""The loop that trades results for tasks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from psycopg import Error as DriverError

from pgflow import calls
from pgflow._async.connection import Database
from pgflow.calls import Call
from pgflow.errors import PgFlowError
from pgflow.types import StartedTask, TaskReport

logger = logging.getLogger("pgflow.worker")

_LARGEST_BATCH = 500
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 30.0


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
    beyond `concurrency` tasks. Reports that can't be delivered are kept and delivered again: the attempt they carry
    makes that harmless.
    """

    def __init__(
        self,
        database: Database,
        worker_ids: Mapping[str, UUID],
        execute: Callable[[StartedTask], Awaitable[TaskReport]],
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
        self._running: set[asyncio.Task[None]] = set()
        self._reports: list[TaskReport] = []
        self._accepting = dict.fromkeys(worker_ids)
        self._wake = asyncio.Event()

    @property
    def unfinished(self) -> int:
        """Number of tasks that run or aren't reported yet."""
        return len(self._running) + len(self._reports)

    def stop_fetching(self, flow_slug: str | None = None) -> None:
        """Take no new tasks of this flow, or of any; :meth:`run` returns when nothing is left to fetch or report."""
        if flow_slug is None:
            self._accepting.clear()
        else:
            self._accepting.pop(flow_slug, None)
        self._wake.set()

    def abandon(self) -> None:
        """Cancel the tasks that run. They aren't reported; recovery gives them to somebody else."""
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
        reported = await self._deliver()
        fetched = await self._fetch()
        return bool(self._reports) or ((reported or fetched) and self._has_room())

    async def _deliver(self) -> bool:
        batch = self._reports[:_LARGEST_BATCH]
        completed = [report for report in batch if report.error_message is None]
        failed = [report for report in batch if report.error_message is not None]
        if completed:
            await self._deliver_some(completed, calls.complete_tasks)
        if failed:
            await self._deliver_some(failed, calls.fail_tasks)
        return bool(batch)

    async def _deliver_some(
        self, reports: list[TaskReport], call: Callable[[list[TaskReport]], Call[list[int]]]
    ) -> None:
        try:
            await self._database.run(call(reports))
        except (PgFlowError, DriverError) as error:
            if _is_passing(error):
                raise
            # One report that the database refuses must not hold up the others.
            for report in reports:
                await self._deliver_one(report, call)
        delivered = set(map(id, reports))
        self._reports = [report for report in self._reports if id(report) not in delivered]

    async def _deliver_one(self, report: TaskReport, call: Callable[[list[TaskReport]], Call[list[int]]]) -> None:
        try:
            await self._database.run(call([report]))
        except (PgFlowError, DriverError) as error:
            if _is_passing(error):
                raise
            logger.error(
                "the database refuses the report of %s[%d] of run %s: %s",
                report.step_slug,
                report.task_index,
                report.run_id,
                error,
            )
            refused = replace(
                report, output=None, error_message=f"The database refused the report of this task: {error}"
            )
            await self._database.run(calls.fail_tasks([refused]))

    async def _fetch(self) -> bool:
        fetched = 0
        flow_slugs = list(self._accepting)
        random.shuffle(flow_slugs)  # nobody is always first
        for flow_slug in flow_slugs:
            room = self._concurrency - len(self._running)
            if room <= 0:
                break
            tasks = await self._database.run(calls.fetch_tasks(flow_slug, self._worker_ids[flow_slug], room))
            for task in tasks:
                self._start(task)
            fetched += len(tasks)
        return fetched > 0

    def _start(self, task: StartedTask) -> None:
        running = asyncio.create_task(self._work(task), name=f"{task.flow_slug}.{task.step_slug}[{task.task_index}]")
        self._running.add(running)
        running.add_done_callback(self._settle)

    def _settle(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        if not running.cancelled() and (error := running.exception()):
            logger.error("a task was lost to an error of the worker; recovery returns it", exc_info=error)
        self._wake.set()

    async def _work(self, task: StartedTask) -> None:
        self._reports.append(await self._execute(task))

    def _has_room(self) -> bool:
        return bool(self._accepting) and len(self._running) < self._concurrency

    async def _wait_for_news(self, seconds: float | None) -> None:
        """Wait until a task has ended or fetching is stopped, at most so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass


def _is_passing(error: Exception) -> bool:
    """Whether the same call may succeed later: the connection broke, or the server was busy or shutting down."""
    if isinstance(error, PgFlowError):
        return True
    sqlstate = getattr(error, "sqlstate", None)
    return sqlstate is None or sqlstate[:2] in ("08", "40", "53", "55", "57", "58")
