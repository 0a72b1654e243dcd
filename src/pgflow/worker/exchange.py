"""The loop that trades results for tasks."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from uuid import UUID

from psycopg import Error as DriverError

from pgflow import calls
from pgflow._async.connection import Database
from pgflow.calls import Exchanged
from pgflow.errors import PgFlowError
from pgflow.types import StartedTask, TaskReport
from pgflow.worker.news import News
from pgflow.worker.outbox import Outbox, is_passing
from pgflow.worker.outcome import failed, report
from pgflow.worker.pace import Bookmarks, Pace, PollInterval

logger = logging.getLogger("pgflow.worker")

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 30.0
_REST_OF_A_FLOW = 5.0
_LONGEST_WAIT = 1.0
_LATEST_COMMIT = 10.0
_PAUSE_WITH_NOTIFICATIONS = 30.0


class ExchangeLoop:
    """Reports what has ended and gets new tasks, both in one call, until it is drained.

    While one exchange is in flight finished tasks pile up, and the next exchange reports them all: batches grow under
    load and shrink to one when there is little to do. Up to `concurrency` handlers run at once; :class:`Pace` says how
    many tasks are held for them. A flow that can't be fetched from, because it was deleted for example, rests for some
    seconds while the others go on.
    """

    def __init__(
        self,
        database: Database,
        worker_ids: Mapping[str, UUID],
        execute: Callable[[StartedTask], Coroutine[object, object, TaskReport]],
        *,
        concurrency: int,
        poll_interval: PollInterval,
    ) -> None:
        self.notified = False
        """Whether somebody calls :meth:`wake` when tasks arrive, so that looking into empty queues can wait."""
        self._pace = Pace(concurrency)
        self._database = database
        self._worker_ids = worker_ids
        self._execute = execute
        self._concurrency = concurrency
        self._poll_interval = poll_interval
        self._accepting = set(worker_ids)
        self._resting_until: dict[str, float] = {}
        self._waiting: deque[tuple[float, StartedTask]] = deque()
        self._running: dict[asyncio.Task[TaskReport], tuple[float, StartedTask]] = {}
        self._taken_away: set[asyncio.Task[TaskReport]] = set()
        self._outbox = Outbox(database, list(worker_ids.values()))
        self._news = News(worker_ids)
        self._bookmarks = Bookmarks()
        self._has_skipped = False
        self._look_for_lost: list[float] = []
        self._abandoned = False
        self._wake = asyncio.Event()

    @property
    def unfinished(self) -> int:
        """Number of tasks that wait for their handler, run, or aren't reported yet."""
        return len(self._waiting) + len(self._running) + len(self._outbox)

    def held(self) -> list[StartedTask]:
        """Return the tasks that wait for their handler or run."""
        return [task for _, task in (*self._running.values(), *self._waiting)]

    def is_fetching(self, flow_slug: str) -> bool:
        """Whether new tasks of this flow are taken."""
        return flow_slug in self._accepting

    def wake(self) -> None:
        """Look into the queues now."""
        self._wake.set()

    def stop_fetching(self, flow_slug: str | None = None) -> None:
        """Take no new tasks of this flow, or of any; :meth:`run` returns when nothing is left to fetch or report."""
        if flow_slug is None:
            self._accepting.clear()
        else:
            self._accepting.discard(flow_slug)
        self._wake.set()

    def take_away(self, task: StartedTask) -> None:
        """Forget a task that isn't this worker's any more: its handler is cancelled and nothing is reported."""
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not task)
        for running, (_, other) in self._running.items():
            if other is task:
                self._taken_away.add(running)
                running.cancel()

    def abandon(self) -> None:
        """Cancel the tasks that run and fetch no more. All tasks held are given back, their attempts not counted."""
        if self._abandoned:
            return
        self._abandoned = True
        self._release_waiting()
        for running, (_, task) in self._running.items():
            self._outbox.add(released(task))
            running.cancel()
        self.stop_fetching()

    async def run(self) -> None:
        """Exchange until fetching has been stopped and everything is reported."""
        backoff = _FIRST_BACKOFF
        pause = self._poll_interval.shortest
        while self._accepting or self.unfinished:
            self._wake.clear()
            try:
                exchanged = await self._exchange()
            except (PgFlowError, DriverError) as error:
                logger.warning("exchange with the database failed, next try in about %.1f s: %s", backoff, error)
                await self._wait_for_news(backoff * random.uniform(0.5, 1))  # noqa: S311 - no secret
                backoff = min(backoff * 2, _LONGEST_BACKOFF)
                continue
            backoff = _FIRST_BACKOFF
            if exchanged is not None and (exchanged.tasks or exchanged.recorded):
                pause = self._poll_interval.shortest
            else:
                pause = self._next_pause(pause, exchanged.pause if exchanged else None)
            if not self._outbox.waiting and not self._has_skipped and (self._accepting or self._running):
                await self._wait_for_news(self._patience(pause))

    async def _exchange(self) -> Exchanged | None:
        """Report what has ended and fetch what there is room for. Returns None if there was neither."""
        self._has_skipped = False
        if self._look_for_lost and self._look_for_lost[0] <= time.monotonic():
            await self._release_lost()
        self._release_what_waits_too_long()
        batch = self._outbox.take()
        wanted = self._wanted()
        room = max(self._pace.capacity - len(self._waiting) - len(self._running), 0) if wanted else 0
        try:
            given_back = [report for report in batch if report.release_delay is not None]
            await self._outbox.release(given_back)
            self._news.reported(given_back, given_back)
            reports = [report for report in batch if report.release_delay is None]
            exchanged = await self._trade(reports, wanted, room) if reports or room else None
        except (PgFlowError, DriverError, asyncio.CancelledError):
            self._outbox.put_back(batch)
            now = time.monotonic()
            self._look_for_lost = [now, now + _LATEST_COMMIT]  # the server may still be at it
            raise
        self._outbox.forget(batch)
        return exchanged

    async def _trade(self, reports: list[TaskReport], wanted: dict[str, UUID], room: int) -> Exchanged:
        began = time.monotonic()
        asked = wanted if room else {}
        self._news.poll_starts(asked, len(self._running))
        try:
            since = self._bookmarks.positions(wanted)
            exchanged = await self._database.run(calls.exchange_tasks(reports, wanted, room, since))
            self._bookmarks.move(wanted, exchanged.read_until)
            self._has_skipped = any(since) and len(exchanged.tasks) < room
            recorded = [reports[position] for position in exchanged.recorded]
        except (PgFlowError, DriverError) as error:
            if is_passing(error):
                raise
            exchanged, recorded = await self._trade_one_by_one(reports, wanted, room)
        self._pace.exchange_took(time.monotonic() - began)
        self._accept(exchanged)
        self._news.poll_stops(asked, len(self._running), exchanged.tasks)
        self._news.reported(reports, recorded)
        self._news.moved(exchanged)
        return exchanged

    async def _trade_one_by_one(
        self, reports: list[TaskReport], wanted: dict[str, UUID], room: int
    ) -> tuple[Exchanged, list[TaskReport]]:
        """Find out what the database refused, one report or one flow, and do the rest."""
        recorded = await self._outbox.deliver(reports)
        exchanged = Exchanged()
        for flow_slug, worker_id in wanted.items():
            left = room - len(exchanged.tasks)
            if left <= 0:
                break
            try:
                part = await self._fetch(flow_slug, worker_id, left)
            except (PgFlowError, DriverError) as error:
                if is_passing(error):
                    logger.warning("fetching tasks of flow %s failed: %s", flow_slug, error)
                    break
                self._let_rest(flow_slug, error)
                continue
            exchanged.tasks += part.tasks
            exchanged.unreadable += part.unreadable
        return exchanged, recorded

    async def _fetch(self, flow_slug: str, worker_id: UUID, limit: int) -> Exchanged:
        """Get tasks of one flow; one alone if several are refused, as their inputs may be too large together."""
        try:
            return await self._database.run(calls.exchange_tasks([], {flow_slug: worker_id}, limit))
        except (PgFlowError, DriverError) as error:
            if limit == 1 or is_passing(error):
                raise
            return await self._database.run(calls.exchange_tasks([], {flow_slug: worker_id}, 1))

    def _wanted(self) -> dict[str, UUID]:
        now = time.monotonic()
        self._resting_until = {slug: until for slug, until in self._resting_until.items() if until > now}
        flow_slugs = [slug for slug in self._accepting if slug not in self._resting_until]
        random.shuffle(flow_slugs)  # nobody is always first
        return {slug: self._worker_ids[slug] for slug in flow_slugs}

    def _let_rest(self, flow_slug: str, error: Exception) -> None:
        logger.error("can't fetch tasks of flow %s, next try in %g s: %s", flow_slug, _REST_OF_A_FLOW, error)
        self._resting_until[flow_slug] = time.monotonic() + _REST_OF_A_FLOW

    def _accept(self, exchanged: Exchanged) -> None:
        for failure in exchanged.unreadable:
            logger.error(
                "can't read the input of step %s in run %s: %s",
                failure.step_slug,
                failure.run_id,
                failure.error_message,
            )
            self._outbox.add(failure)
        now = time.monotonic()
        self._waiting.extend((now, task) for task in exchanged.tasks)
        if self._abandoned:  # while the exchange was in flight
            self._release_waiting()
        self._start_waiting()

    def _start_waiting(self) -> None:
        now = time.monotonic()
        while self._waiting and len(self._running) < self._concurrency:
            _, task = self._waiting.popleft()
            running = asyncio.create_task(self._execute(task))
            self._running[running] = (now, task)
            running.add_done_callback(self._settle)

    def _settle(self, running: asyncio.Task[TaskReport]) -> None:
        began, task = self._running.pop(running)
        seconds = time.monotonic() - began
        self._pace.handler_took(seconds)
        result = self._result(running, task)
        if result is None:
            self._news.discarded(task, seconds, "released" if self._abandoned else "taken away")
        else:
            self._news.ended(task, result, seconds)
            if not result.recorded:
                self._outbox.add(result)
        self._start_waiting()
        self._wake.set()

    def _result(self, running: asyncio.Task[TaskReport], task: StartedTask) -> TaskReport | None:
        if running in self._taken_away:
            self._taken_away.discard(running)
            return None
        if self._abandoned:  # given back already
            return None
        if running.cancelled():
            return report(task, failed(asyncio.CancelledError("the handler cancelled itself")))
        error = running.exception()
        return report(task, failed(error)) if error else running.result()

    def _release_what_waits_too_long(self) -> None:
        """Give back what waits behind handlers that take longer than those before them; others may be idle."""
        now = time.monotonic()
        if self._waiting and now - self._waiting[0][0] > _LONGEST_WAIT:
            self._pace.handler_took(max((now - began for began, _ in self._running.values()), default=0))
            self._release_waiting()

    def _release_waiting(self) -> None:
        while self._waiting:
            self._outbox.add(released(self._waiting.popleft()[1]))

    async def _release_lost(self) -> None:
        """Give back tasks that were handed over in an answer that never came."""
        known = [*map(_key, self.held()), *map(_key, self._outbox.undelivered())]
        count = await self._database.run(calls.release_lost_tasks(list(self._worker_ids.values()), known))
        del self._look_for_lost[0]
        if count:
            logger.warning("gave back %d tasks that were handed over in an answer that was lost", count)

    def _next_pause(self, previous: float, until_next_message: float | None) -> float:
        if self.notified:
            pause = _PAUSE_WITH_NOTIFICATIONS * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        else:
            pause = self._poll_interval.next(previous)
        due = [at - time.monotonic() for at in (*self._resting_until.values(), *self._look_for_lost)]
        if until_next_message is not None:
            due.append(until_next_message)
        return min(pause, max(min(due, default=pause), self._poll_interval.shortest))

    def _patience(self, pause: float) -> float | None:
        """Return how long there is nothing to do unless something happens."""
        if self._waiting:
            return _LONGEST_WAIT
        if self._accepting and len(self._running) < self._concurrency:
            return pause
        return None

    async def _wait_for_news(self, seconds: float | None) -> None:
        """Wait until a task has ended, or somebody has woken this loop, at most so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass


def _key(work: StartedTask | TaskReport) -> tuple[UUID, str, int, int]:
    return work.run_id, work.step_slug, work.task_index, work.attempt


def released(task: StartedTask) -> TaskReport:
    """Return the report that gives a task back."""
    return TaskReport(task.run_id, task.step_slug, task.task_index, task.attempt, release_delay=0)
