"""What `ctx.transaction()` needs: connections, and the commit of a task together with what its handler wrote."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Final

from psycopg import Error as DriverError

from pgflow._async.connection import Database
from pgflow._async.transaction import AsyncTaskTransaction, AsyncTransactionPool, Target
from pgflow._sync.transaction import TaskTransaction, TransactionPool
from pgflow.calls import Exchanged
from pgflow.errors import ConnectionLost, PgFlowError
from pgflow.flow import Step
from pgflow.types import StartedTask
from pgflow.worker.attempt import Attempt
from pgflow.worker.outcome import Completed, Failed, Outcome, Released, failed, report
from pgflow.worker.work import Work

_RELEASE_SECONDS: Final = 1
_CONFLICTS: Final = "40"
"""Class of SQLSTATE: deadlocks, and conflicts of the isolation level that the handler has chosen."""


class Transactions:
    """Pools of at most `size` connections, one for `async def` handlers and one for threads, opened when needed."""

    def __init__(self, database: Database, *, size: int) -> None:
        self._database = database
        self._async_pool = AsyncTransactionPool(self._target, size=size)
        self._blocking_pool = TransactionPool(self._target, size=size)

    def of(self, step: Step, deadline: datetime) -> AsyncTaskTransaction | TaskTransaction:
        """Return the transaction of an attempt, not begun."""
        if step.is_async:
            return AsyncTaskTransaction(self._async_pool, deadline)
        return TaskTransaction(self._blocking_pool, deadline)

    async def close(self) -> None:
        """Close all connections."""
        await self._async_pool.close()
        await asyncio.to_thread(self._blocking_pool.close)

    def _target(self) -> Target:
        if self._database.url is None:
            raise ConnectionLost("the database has not been opened yet")
        return self._database.url, self._database.options, self._database.core


def perform(work: Work, task: StartedTask, transaction: TaskTransaction) -> Outcome:
    """Call a `def` handler and commit what it wrote together with the completion of its task."""
    with transaction:
        outcome = work.perform()
        if not _may_commit(outcome, work, begun=transaction.has_begun):
            return _without_commit(outcome, transaction)
        try:
            return _after_commit(outcome, transaction.complete(report(task, outcome)))
        except (PgFlowError, DriverError) as error:
            return _not_committed(error)


async def perform_async(work: Work, attempt: Attempt, transaction: AsyncTaskTransaction) -> Outcome:
    """Call an `async def` handler and commit what it wrote together with the completion of its task."""
    async with transaction:
        outcome = await work.perform_async(attempt)
        if not _may_commit(outcome, work, begun=transaction.has_begun):
            return _without_commit(outcome, transaction)
        try:
            return _after_commit(outcome, await transaction.complete(report(attempt.task, outcome)))
        except (PgFlowError, DriverError) as error:
            return _not_committed(error)


def _may_commit(outcome: Outcome, work: Work, *, begun: bool) -> bool:
    """Whether there is something to commit, and nothing against it.

    An output that can't be mapped over fails the run, so what was written with it mustn't stay.
    """
    if not begun or not isinstance(outcome, Completed) or (work.context and work.context.cancelled):
        return False
    return not work.is_mapped_over or outcome.output.startswith(b"[")


def _without_commit(outcome: Outcome, transaction: AsyncTaskTransaction | TaskTransaction) -> Outcome:
    if isinstance(outcome, Failed) and transaction.refusal is not None:
        return Released(_RELEASE_SECONDS)  # the handler can't help it that the database went away
    return outcome


def _after_commit(outcome: Outcome, exchanged: Exchanged | None) -> Outcome:
    if exchanged is not None and isinstance(outcome, Completed):
        return replace(outcome, recorded=exchanged)
    return Failed("The task was given to another worker or its run has ended, so its transaction was rolled back")


def _not_committed(error: PgFlowError | DriverError) -> Outcome:
    """Return what is reported when the commit has failed, or when nobody knows whether it has.

    A task that was committed is complete, and the database ignores that it is given back.
    """
    state = getattr(error, "sqlstate", None) or ""
    if isinstance(error, ConnectionLost) or state.startswith(_CONFLICTS):
        return Released(_RELEASE_SECONDS)
    return failed(error)
