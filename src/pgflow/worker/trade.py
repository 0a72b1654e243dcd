"""The calls of the exchange loop, and what is done when the database refuses one."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from psycopg import Error as DriverError

from pgflow import calls
from pgflow._async.connection import Database
from pgflow.calls import Call, Exchanged
from pgflow.errors import ConnectionLost, PgFlowError
from pgflow.serialize import describe_error
from pgflow.types import StartedTask, TaskReport
from pgflow.worker.pace import Bookmarks

T = TypeVar("T")

logger = logging.getLogger("pgflow.worker")

_REST_OF_A_FLOW = 5.0


@dataclass(slots=True)
class Traded:
    """What came of a trade."""

    exchanged: Exchanged
    recorded: list[TaskReport] = field(default_factory=list)
    """The reports that counted, as they were recorded."""
    has_skipped: bool = False
    """Whether a queue may hold messages before the place where reading began."""
    is_lost: bool = False
    """Whether an answer never came in which tasks may have been handed over."""
    is_all: bool = False
    """Whether every task that there was has been handed over: who is told of new ones need not look again."""


class Trader:
    """Trades reports for tasks in one call, and does the rest when the database refuses a part of it.

    A report that is refused becomes a failure of its task. A flow that can't be fetched from, because it was deleted
    for example, rests for some seconds. Errors that are passing are raised, and everything can be tried again.
    """

    def __init__(self, database: Database, worker_ids: Collection[UUID]) -> None:
        self._database = database
        self._worker_ids = list(worker_ids)
        self._bookmarks = Bookmarks()
        self._resting_until: dict[str, float] = {}

    def ends_of_rests(self) -> Iterable[float]:
        """Return when flows that rest may be fetched from again, by the monotonic clock."""
        now = time.monotonic()
        self._resting_until = {slug: until for slug, until in self._resting_until.items() if until > now}
        return self._resting_until.values()

    def is_resting(self, flow_slug: str) -> bool:
        """Whether it is no use to ask for tasks of this flow now."""
        return self._resting_until.get(flow_slug, 0) > time.monotonic()

    async def trade(self, reports: Sequence[TaskReport], wanted: Mapping[str, UUID], room: int) -> Traded:
        """Report what has ended and get up to `room` tasks of the flows `wanted`, each for its worker."""
        since = self._bookmarks.positions(wanted)
        try:
            exchanged = await self._database.run(calls.exchange_tasks(reports, wanted, room, since))
        except (PgFlowError, DriverError) as error:
            if is_passing(error):
                raise
            return await self._trade_one_by_one(reports, wanted, room)
        self._bookmarks.move(wanted, exchanged.read_until)
        recorded = [reports[position] for position in exchanged.recorded]
        has_skipped = any(since) and exchanged.count < room
        is_all = not any(since) and exchanged.count < room
        return Traded(exchanged, recorded, has_skipped=has_skipped, is_all=is_all)

    async def release(self, reports: Sequence[TaskReport]) -> None:
        """Give tasks back."""
        if not reports:
            return
        refusal = await self._try(calls.release_tasks(reports, self._worker_ids))
        if isinstance(refusal, Exception):
            for report in reports:
                refusal = await self._try(calls.release_tasks([report], self._worker_ids))
                if isinstance(refusal, Exception):
                    _give_up(report, refusal)

    async def release_lost(self, known: Iterable[StartedTask | TaskReport]) -> None:
        """Give back the tasks of this worker but for those `known`: their handover was lost."""
        keys = [(work.run_id, work.step_slug, work.task_index, work.attempt) for work in known]
        count = await self._database.run(calls.release_lost_tasks(self._worker_ids, keys))
        if count:
            logger.warning("gave back %d tasks that were handed over in an answer that was lost", count)

    async def _trade_one_by_one(self, reports: Sequence[TaskReport], wanted: Mapping[str, UUID], room: int) -> Traded:
        """Find out what the database refused, one report or one flow, and do the rest."""
        traded = await self._report_one_by_one(reports)
        exchanged = traded.exchanged
        for flow_slug, worker_id in wanted.items():
            left = room - exchanged.count
            if left <= 0:
                break
            try:
                part = await self._fetch(flow_slug, worker_id, left)
            except (PgFlowError, DriverError) as error:
                if is_passing(error):
                    logger.warning("fetching tasks of flow %s failed: %s", flow_slug, error)
                    traded.is_lost = True
                    break
                self._let_rest(flow_slug, error)
                continue
            exchanged.tasks.extend(part.tasks)
            exchanged.input_size += part.input_size
            exchanged.unreadable.extend(part.unreadable)
        return traded

    async def _fetch(self, flow_slug: str, worker_id: UUID, limit: int) -> Exchanged:
        """Get tasks of one flow; one alone if several are refused, as their inputs may be too large together."""
        try:
            return await self._database.run(calls.exchange_tasks([], {flow_slug: worker_id}, limit))
        except (PgFlowError, DriverError) as error:
            if limit == 1 or is_passing(error):
                raise
            return await self._database.run(calls.exchange_tasks([], {flow_slug: worker_id}, 1))

    async def _report_one_by_one(self, reports: Sequence[TaskReport]) -> Traded:
        """Report so that one that the database refuses doesn't hold up the others."""
        traded = Traded(Exchanged())
        if not reports:
            return traded
        answer = await self._try(calls.exchange_tasks(reports, {}, 0))
        if not isinstance(answer, Exception):
            return Traded(answer, [reports[position] for position in answer.recorded])
        for report in reports:
            await self._report_alone(report, traded)
        return traded

    async def _report_alone(self, report: TaskReport, traded: Traded) -> None:
        """Deliver a report, or the failure that stands for it."""
        answer = await self._try(calls.exchange_tasks([report], {}, 0))
        if isinstance(answer, Exception):
            logger.error("the database refuses the report of %s: %s", _name(report), answer)
            message = f"The database refused the report of this task: {describe_error(answer)}"
            report = replace(report, output=None, error_message=message)
            answer = await self._try(calls.exchange_tasks([report], {}, 0))
        if isinstance(answer, Exception):
            _give_up(report, answer)
            return
        if answer.recorded:
            traded.recorded.append(report)
            traded.exchanged.recorded += answer.recorded
        traded.exchanged.ended_runs.extend(answer.ended_runs)
        traded.exchanged.skipped_steps += answer.skipped_steps

    async def _try(self, call: Call[T]) -> T | Exception:
        """Run a call and return why the database refused it, if it did. Raises errors that are passing."""
        try:
            return await self._database.run(call)
        except (PgFlowError, DriverError) as error:
            if is_passing(error):
                raise
            return error

    def _let_rest(self, flow_slug: str, error: Exception) -> None:
        logger.error("can't fetch tasks of flow %s, next try in %g s: %s", flow_slug, _REST_OF_A_FLOW, error)
        self._resting_until[flow_slug] = time.monotonic() + _REST_OF_A_FLOW


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed later: the connection broke, or the server was busy, read-only or stopping."""
    if isinstance(error, ConnectionLost):
        return True
    answer = error.__cause__ if isinstance(error, PgFlowError) else error  # a translated error keeps what it stands for
    if not isinstance(answer, DriverError):
        return False
    return answer.sqlstate is not None and answer.sqlstate[:2] in ("08", "25", "40", "53", "55", "57", "58")


def _give_up(report: TaskReport, error: Exception) -> None:
    logger.error("%s isn't reported; it is started again when it has stalled: %s", _name(report), error)


def _name(report: TaskReport) -> str:
    return f"{report.step_slug}[{report.task_index}] of run {report.run_id}"
