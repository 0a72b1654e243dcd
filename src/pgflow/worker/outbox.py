"""Reports on their way to the database."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias
from uuid import UUID

from psycopg import Error as DriverError

from pgflow import calls
from pgflow._async.connection import Database
from pgflow.calls import Call
from pgflow.errors import ConnectionLost, PgFlowError
from pgflow.serialize import describe_error
from pgflow.types import TaskReport

logger = logging.getLogger("pgflow.worker")

_LARGEST_BATCH = 500
_LARGEST_BATCH_BYTES = 32 * 1024 * 1024

_ReportCall: TypeAlias = Callable[[Sequence[TaskReport]], Call[list[int]]]


class Outbox:
    """Keeps reports until the database has taken them, or has refused them for good.

    A report may be delivered twice, when the connection broke after it was taken: the attempt it carries makes that
    harmless. `worker_ids` are those that the tasks were started for.
    """

    def __init__(self, database: Database, worker_ids: Sequence[UUID]) -> None:
        self._database = database
        self._worker_ids = worker_ids
        self._reports: list[TaskReport] = []
        self._underway: list[list[TaskReport]] = []

    def __len__(self) -> int:
        return len(self._reports) + sum(map(len, self._underway))

    @property
    def waiting(self) -> int:
        """How many reports nobody has taken yet."""
        return len(self._reports)

    def undelivered(self) -> list[TaskReport]:
        """Return all reports that the database may not have."""
        return [*itertools.chain.from_iterable(self._underway), *self._reports]

    def add(self, report: TaskReport) -> None:
        """Take a report for the next delivery."""
        self._reports.append(report)

    def take(self) -> list[TaskReport]:
        """Return the next batch to be delivered; :meth:`forget` or :meth:`put_back` says what became of it."""
        batch = first_batch(self._reports)
        del self._reports[: len(batch)]
        self._underway.append(batch)
        return batch

    def forget(self, batch: list[TaskReport]) -> None:
        """Forget a batch that the database has."""
        self._underway = [other for other in self._underway if other is not batch]

    def put_back(self, batch: list[TaskReport]) -> None:
        """Keep a batch for another delivery."""
        self.forget(batch)
        self._reports[:0] = batch

    async def release(self, reports: list[TaskReport]) -> None:
        """Give tasks back. Raises what the database raised if that :func:`is_passing`."""
        if reports:
            await self._deliver(reports, lambda some: calls.release_tasks(some, self._worker_ids))

    async def deliver(self, reports: Sequence[TaskReport]) -> list[TaskReport]:
        """Deliver reports so that one that the database refuses doesn't hold up the others; return those that counted.

        Raises what the database raised if that :func:`is_passing`.
        """
        completed = [report for report in reports if report.error_message is None]
        failed = [report for report in reports if report.error_message is not None]
        return [*await self._deliver(completed, calls.complete_tasks), *await self._deliver(failed, calls.fail_tasks)]

    async def _deliver(self, reports: list[TaskReport], call: _ReportCall) -> list[TaskReport]:
        if not reports:
            return []
        recorded = await self._try(call(reports))
        if not isinstance(recorded, Exception):
            return [reports[position] for position in recorded]
        delivered = [await self._deliver_alone(report, call) for report in reports]
        return [report for report in delivered if report is not None]

    async def _deliver_alone(self, report: TaskReport, call: _ReportCall) -> TaskReport | None:
        """Deliver a report, or the failure that stands for it, and return what counted."""
        answer = await self._try(call([report]))
        if isinstance(answer, Exception):
            logger.error("the database refuses the report of %s: %s", _name(report), answer)
            message = f"The database refused the report of this task: {describe_error(answer)}"
            report = replace(report, output=None, error_message=message)
            answer = await self._try(calls.fail_tasks([report]))
        if isinstance(answer, Exception):
            logger.error("%s isn't reported; it is started again when it has stalled: %s", _name(report), answer)
        return report if answer == [0] else None

    async def _try(self, call: Call[list[int]]) -> list[int] | Exception:
        """Run a call and return why the database refused it, if it did. Raises errors that are passing."""
        try:
            return await self._database.run(call)
        except (PgFlowError, DriverError) as error:
            if is_passing(error):
                raise
            return error


def first_batch(reports: Sequence[TaskReport]) -> list[TaskReport]:
    """Return as many of the first reports as fit into one statement: PostgreSQL takes no more than 1 GB."""
    batch: list[TaskReport] = []
    size = 0
    for report in reports[:_LARGEST_BATCH]:
        size += len(report.output or b"")
        if batch and size > _LARGEST_BATCH_BYTES:
            break
        batch.append(report)
    return batch


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed later: the connection broke, or the server was busy, read-only or stopping."""
    if isinstance(error, ConnectionLost):
        return True
    answer = error.__cause__ if isinstance(error, PgFlowError) else error  # a translated error keeps what it stands for
    if not isinstance(answer, DriverError):
        return False
    return answer.sqlstate is not None and answer.sqlstate[:2] in ("08", "25", "40", "53", "55", "57", "58")


def _name(report: TaskReport) -> str:
    return f"{report.step_slug}[{report.task_index}] of run {report.run_id}"
