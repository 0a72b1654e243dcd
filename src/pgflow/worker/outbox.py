"""Reports on their way to the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

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
    harmless.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reports: list[TaskReport] = []

    def __len__(self) -> int:
        return len(self._reports)

    def add(self, report: TaskReport) -> None:
        """Take a report for the next delivery."""
        self._reports.append(report)

    async def deliver(self) -> bool:
        """Deliver a batch and return whether there was one.

        Raises what the database raised if that :func:`is_passing`; the reports are then kept.
        """
        batch = first_batch(self._reports)
        completed = [report for report in batch if report.error_message is None]
        failed = [report for report in batch if report.error_message is not None]
        await self._deliver_together(completed, calls.complete_tasks)
        await self._deliver_together(failed, calls.fail_tasks)
        return bool(batch)

    async def _deliver_together(self, reports: list[TaskReport], call: _ReportCall) -> None:
        if not reports:
            return
        refusal = await self._try(call(reports))
        if refusal is None:
            self._forget(reports)
        else:  # one report that the database refuses must not hold up the others
            for report in reports:
                await self._deliver_alone(report, call)

    async def _deliver_alone(self, report: TaskReport, call: _ReportCall) -> None:
        refusal = await self._try(call([report]))
        if refusal is not None:
            logger.error("the database refuses the report of %s: %s", _name(report), refusal)
            message = f"The database refused the report of this task: {describe_error(refusal)}"
            refusal = await self._try(calls.fail_tasks([replace(report, output=None, error_message=message)]))
        if refusal is not None:
            logger.error("%s isn't reported; it is started again when it has stalled: %s", _name(report), refusal)
        self._forget([report])

    async def _try(self, call: Call[list[int]]) -> Exception | None:
        """Run a call and return why the database refused it, if it did. Raises errors that are passing."""
        try:
            await self._database.run(call)
        except (PgFlowError, DriverError) as error:
            if is_passing(error):
                raise
            return error
        return None

    def _forget(self, reports: list[TaskReport]) -> None:
        gone = set(map(id, reports))
        self._reports = [report for report in self._reports if id(report) not in gone]


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
