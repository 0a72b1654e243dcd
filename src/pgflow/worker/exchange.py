"""The loop that trades results for tasks."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import Error as DriverError

from pgflow._async.connection import Database
from pgflow.calls import Exchanged
from pgflow.errors import PgFlowError
from pgflow.types import StartedTask, TaskReport
from pgflow.worker.attempt import Attempt
from pgflow.worker.demand import Appetite, Demand, Sizes
from pgflow.worker.news import News
from pgflow.worker.outbox import Outbox
from pgflow.worker.outcome import failed, report
from pgflow.worker.pace import Pace, PollInterval
from pgflow.worker.trade import Trader

logger = logging.getLogger("pgflow.worker")

_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 10.0
_LONGEST_WAIT = 1.0
_LATEST_COMMIT = 10.0
_PAUSE_WITH_NOTIFICATIONS = 30.0
_WORTH_A_SECOND_EXCHANGE = 100


@dataclass(frozen=True, slots=True)
class _Progress:
    """What came of an exchange, without the answer: whoever keeps that keeps the inputs of all its tasks."""

    has_worked: bool = False
    has_skipped: bool = False
    is_all: bool = False
    pause: float | None = None


class ExchangeLoop:
    """Reports what has ended and gets new tasks, both in one call, until it is drained.

    While one exchange is in flight finished tasks pile up, and the next exchange reports them all: batches grow under
    load and shrink to one when there is little to do. When many have piled up, a second exchange leaves beside the
    first: the server works while this process reads an answer, and the other way round. Up to `concurrency` handlers
    run at once; :class:`Pace` says how many tasks are held for them, and :class:`Appetite` of which flows, so that
    those that wait take little memory. A flow that can't be fetched from, because it was deleted for example, rests for
    some seconds while the others go on.
    """

    def __init__(
        self,
        database: Database,
        worker_ids: Mapping[str, UUID],
        start: Callable[[StartedTask], Attempt],
        *,
        concurrency: int,
        poll_interval: PollInterval,
    ) -> None:
        self.notified = False
        """Whether somebody calls :meth:`wake` when tasks arrive, so that looking into empty queues can wait."""
        self._pace = Pace(concurrency)
        self._sizes = Sizes()
        self._appetite = Appetite(self._pace, self._sizes)
        self._worker_ids = worker_ids
        self._start = start
        self._concurrency = concurrency
        self._poll_interval = poll_interval
        self._accepting = set(worker_ids)
        self._arrived: list[Exchanged] = []
        self._waiting: deque[tuple[float, StartedTask]] = deque()
        self._running: dict[asyncio.Task[TaskReport], Attempt] = {}
        self._outbox = Outbox()
        self._trader = Trader(database, worker_ids.values())
        self._news = News(worker_ids)
        self._underway = 0
        self._demands: list[Demand] = []
        self._second: asyncio.Task[None] | None = None
        self._defect: BaseException | None = None
        self._look_for_lost: list[float] = []
        self._abandoned = False
        self._wake = asyncio.Event()

    @property
    def unfinished(self) -> int:
        """Number of tasks that wait for their handler, run, or aren't reported yet."""
        return self._held + len(self._outbox)

    @property
    def _held(self) -> int:
        return sum(exchanged.count for exchanged in self._arrived) + len(self._waiting) + len(self._running)

    @property
    def _asked(self) -> int:
        return sum(demand.room for demand in self._demands)

    def held(self) -> list[StartedTask]:
        """Return the tasks that wait for their handler or run."""
        self._start_arrived()
        return [*(attempt.task for attempt in self._running.values()), *(task for _, task in self._waiting)]

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
        for attempt in self._running.values():
            if attempt.task is task:
                attempt.cancel()

    def abandon(self) -> None:
        """Cancel the tasks that run and fetch no more. All tasks held are given back, their attempts not counted."""
        if self._abandoned:
            return
        self._abandoned = True
        self._release_waiting()
        for attempt in self._running.values():
            self._outbox.add(released(attempt.task))
            attempt.cancel()
        self.stop_fetching()

    async def run(self) -> None:
        """Exchange until fetching has been stopped and everything is reported. Cancelling it cancels the handlers."""
        try:
            await self._run()
        except asyncio.CancelledError:
            for attempt in self._running.values():
                attempt.cancel()
            raise
        finally:
            if self._second is not None:
                self._second.cancel()

    async def _run(self) -> None:
        backoff = _FIRST_BACKOFF
        pause = self._poll_interval.shortest
        while self._accepting or self.unfinished:
            self._wake.clear()
            if self._defect is not None:
                raise self._defect
            try:
                await self._release_lost()
                self._release_what_waits_too_long()
                progress = await self._exchange()
            except (PgFlowError, DriverError) as error:
                logger.warning("exchange with the database failed, next try in about %.1f s: %s", backoff, error)
                await self._wait_for_news(backoff * random.uniform(0.5, 1))  # noqa: S311 - no secret
                backoff = min(backoff * 2, _LONGEST_BACKOFF)
                continue
            backoff = _FIRST_BACKOFF
            if progress.has_worked and not (self.notified and progress.is_all):
                pause = self._poll_interval.shortest
            else:
                pause = self._next_pause(pause, progress.pause)
            if not self._outbox.waiting and not progress.has_skipped and (self._accepting or self.unfinished):
                await self._wait_for_news(self._patience(pause))

    def _start_second(self) -> None:
        """Exchange beside the exchange that is under way, if that is worth it."""
        if self._second is None and self._defect is None and self._is_worth_a_second:
            self._second = asyncio.create_task(self._exchange_beside(), name="pgflow-exchange-beside")
            self._second.add_done_callback(self._end_second)

    @property
    def _is_worth_a_second(self) -> bool:
        return self._underway == 1 and self._outbox.waiting >= _WORTH_A_SECOND_EXCHANGE and not self._look_for_lost

    async def _exchange_beside(self) -> None:
        while self._is_worth_a_second:
            try:
                await self._exchange()
            except (PgFlowError, DriverError) as error:
                logger.warning("an exchange with the database failed: %s", error)

    def _end_second(self, second: asyncio.Task[None]) -> None:
        self._second = None
        if not second.cancelled():
            self._defect = self._defect or second.exception()
        self._wake.set()  # to look again at what came meanwhile

    async def _exchange(self) -> _Progress:
        """Report what has ended and fetch what there is room for, in one call, if there is any of both."""
        batch = self._outbox.take()
        demand = Demand()
        self._underway += 1
        self._start_second()
        try:
            given_back = [report for report in batch if report.release_delay is not None]
            await self._trader.release(given_back)
            self._news.reported(given_back, given_back)
            reports = [report for report in batch if report.release_delay is None]
            demand = self._demand()
            if demand.room:
                self._demands.append(demand)
            progress = await self._trade(reports, demand) if reports or demand.room else _Progress()
        except (PgFlowError, DriverError, asyncio.CancelledError):
            self._outbox.put_back(batch)
            self._expect_lost()
            raise
        finally:
            self._underway -= 1
            if demand.room:
                self._demands.remove(demand)
        self._outbox.forget(batch)
        return progress

    async def _trade(self, reports: Sequence[TaskReport], demand: Demand) -> _Progress:
        began = time.monotonic()
        asked = {slug: self._worker_ids[slug] for slug in demand.flow_slugs}
        self._news.poll_starts(asked, len(self._running))
        traded = await self._trader.trade(reports, asked, demand.room)
        count = traded.exchanged.count
        self._appetite.answered(demand, count)
        if traded.is_lost:
            self._expect_lost()
        self._pace.exchange_took(time.monotonic() - began)
        self._accept(traded.exchanged)
        self._news.poll_stops(asked, len(self._running), traded.exchanged)
        self._news.reported(reports, traded.recorded)
        self._news.moved(traded.exchanged)
        return _Progress(
            has_worked=bool(count or traded.exchanged.recorded),
            has_skipped=traded.has_skipped or (demand.is_partial and count < demand.room),
            is_all=traded.is_all and not demand.is_partial,
            pause=traded.exchanged.pause,
        )

    def _demand(self) -> Demand:
        """Return how many more tasks may be asked for, and of which flows: none while outputs pile up."""
        if self._outbox.is_piling_up:
            return Demand()
        flow_slugs = [slug for slug in self._accepting if not self._trader.is_resting(slug)]
        random.shuffle(flow_slugs)  # nobody is always first
        arrived = sum(exchanged.input_size for exchanged in self._arrived)
        waiting = sum(task.input_size for _, task in self._waiting)
        on_their_way = sum(demand.size for demand in self._demands)
        return self._appetite.demand(flow_slugs, self._held + self._asked, arrived + waiting + on_their_way)

    async def _release_lost(self) -> None:
        """Give back what was handed over in an answer that was lost, when nothing else is under way."""
        if self._look_for_lost and self._look_for_lost[0] <= time.monotonic():
            if self._second is not None:
                await asyncio.wait([self._second])
            await self._trader.release_lost((*self.held(), *self._outbox.undelivered()))
            del self._look_for_lost[0]

    def _expect_lost(self) -> None:
        """Look for tasks that were handed over in a lost answer: now, and when the server is certainly done with it."""
        now = time.monotonic()
        self._look_for_lost = [now, now + _LATEST_COMMIT]

    def _accept(self, exchanged: Exchanged) -> None:
        self._arrived.append(exchanged)
        if self._outbox.waiting:  # the next exchange leaves first: the server works while these are read and started
            asyncio.get_running_loop().call_soon(self._start_arrived)
        else:
            self._start_arrived()

    def _start_arrived(self) -> None:
        now = time.monotonic()
        arrived, self._arrived = self._arrived, []
        for exchanged in arrived:
            for failure in exchanged.unreadable:
                logger.error(
                    "can't read the input of step %s in run %s: %s",
                    failure.step_slug,
                    failure.run_id,
                    failure.error_message,
                )
                self._outbox.add(failure)
            for task in exchanged.tasks:
                self._sizes.arrived(task)
                self._waiting.append((now, task))
        if self._abandoned:  # while the exchange was in flight
            self._release_waiting()
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._concurrency:
            _, task = self._waiting.popleft()
            attempt = self._start(task)
            self._running[attempt.running] = attempt
            attempt.running.add_done_callback(self._settle)

    def _settle(self, running: asyncio.Task[TaskReport]) -> None:
        attempt = self._running.pop(running)
        task, seconds = attempt.task, time.monotonic() - attempt.began
        self._pace.handler_took(seconds)
        result = _result(attempt)
        if result is None:
            self._news.discarded(task, seconds, "released" if self._abandoned else "taken away")
        else:
            self._sizes.ended(task, result.output)
            self._news.ended(task, result, seconds)
            if not result.recorded:
                self._outbox.add(result)
                self._start_second()
        self._start_waiting()
        self._wake.set()

    def _release_what_waits_too_long(self) -> None:
        """Give back what waits behind handlers that take longer than those before them; others may be idle."""
        now = time.monotonic()
        if self._waiting and now - self._waiting[0][0] > _LONGEST_WAIT:
            self._pace.handler_took(max((now - attempt.began for attempt in self._running.values()), default=0))
            self._release_waiting()

    def _release_waiting(self) -> None:
        while self._waiting:
            self._outbox.add(released(self._waiting.popleft()[1]))

    def _next_pause(self, previous: float, until_next_message: float | None) -> float:
        if self.notified:
            pause = _PAUSE_WITH_NOTIFICATIONS * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        else:
            pause = self._poll_interval.next(previous)
        due = [at - time.monotonic() for at in (*self._trader.ends_of_rests(), *self._look_for_lost)]
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


def _result(attempt: Attempt) -> TaskReport | None:
    """Return what to report about an attempt that has ended; None if nobody wants to know."""
    if attempt.is_cancelled:
        return None
    if attempt.running.cancelled():
        return report(attempt.task, failed(asyncio.CancelledError("the handler cancelled itself")))
    error = attempt.running.exception()
    return report(attempt.task, failed(error)) if error else attempt.running.result()


def released(task: StartedTask) -> TaskReport:
    """Return the report that gives a task back."""
    return TaskReport(task.run_id, task.step_slug, task.task_index, task.attempt, release_delay=0)
