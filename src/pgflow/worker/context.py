"""What a handler receives as `ctx`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, MutableMapping
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from psycopg import AsyncConnection, Connection

from pgflow._async.client import Client
from pgflow._async.transaction import AsyncTaskTransaction
from pgflow._sync.transaction import TaskTransaction
from pgflow.errors import PgFlowError
from pgflow.logs import task_name
from pgflow.types import Json, StartedTask


class Context:
    """The task at hand: who it is, what its run was started with, how long it may take.

    `attempt` counts from 1 to `max_attempts`; `deadline` is when the task times out, by this machine's clock. All of it
    may be used from the handler's thread.
    """

    __pgflow_context__: ClassVar[bool] = True

    def __init__(
        self,
        task: StartedTask,
        *,
        deadline: datetime,
        is_stopping: Callable[[], bool],
        client: Client | None = None,
        read_flow_input: Callable[[StartedTask], Coroutine[Any, Any, Json]] | None = None,
        transaction: AsyncTaskTransaction | TaskTransaction | None = None,
    ) -> None:
        self.run_id: UUID = task.run_id
        self.flow_slug: str = task.flow_slug
        self.step_slug: str = task.step_slug
        self.task_index: int = task.task_index
        self.attempt: int = task.attempt
        self.max_attempts: int = task.max_attempts
        self.deadline: datetime = deadline
        self._task = task
        self._is_stopping = is_stopping
        self._ended = False
        self._client = client
        self._read_flow_input = read_flow_input
        self._transaction = transaction
        self._flow_input: tuple[Json] | None = None
        self._reading = asyncio.Lock()

    @cached_property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Log with flow, run, step and task bound to each record."""
        return TaskLogger(self._task)

    @property
    def client(self) -> Client:
        """The worker's client. Raises :class:`PgFlowError` where the handler runs in another process."""
        if self._client is None:
            raise _not_here("client")
        return self._client

    @property
    def shutting_down(self) -> bool:
        """Whether the worker is waiting for its tasks to end; a long handler can stop early by raising."""
        return self._is_stopping()

    @property
    def is_last_attempt(self) -> bool:
        """Whether no attempt follows if this one fails."""
        return self.attempt >= self.max_attempts

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the handler any more: it took too long, or its task was taken away.

        A `def` handler can't be interrupted, so one that takes long looks here now and then and returns.
        """
        return self._ended

    def end(self) -> None:
        """Let the handler know that its result is of no use any more."""
        self._ended = True

    async def flow_input(self) -> Json:
        """Return the input of the run, read on first use. A `def` handler declares a parameter `flow_input` instead.

        Raises :class:`PgFlowError` where the handler runs in another process.
        """
        if self._read_flow_input is None:
            raise _not_here("flow_input()")
        async with self._reading:
            if self._flow_input is None:
                self._flow_input = (await self._read_flow_input(self._task),)
        return self._flow_input[0]

    def transaction(self) -> TransactionBlock:
        """Return a context manager over a connection of psycopg: async in `async def` handlers, plain in `def` ones.

        What is written there is committed together with the task's completion, after the handler has returned, or not
        at all. All blocks are in one transaction; one that is left by an exception takes back what it wrote itself.
        Raises :class:`PgFlowError` where the handler runs in another process, :class:`ConnectionLost` if there is no
        connection, and :class:`TransactionFailed` when an error of the database was caught inside the block. ::

            async with ctx.transaction() as connection:
                await connection.execute("insert into payments values (%s)", (order.number,))
        """
        if self._transaction is None:
            raise _not_here("transaction()")
        return TransactionBlock(self._transaction)


class TransactionBlock:
    """A part of the task's transaction, to be entered once."""

    def __init__(self, transaction: AsyncTaskTransaction | TaskTransaction) -> None:
        self._transaction = transaction
        self._left = ExitStack()
        self._left_async = AsyncExitStack()

    def __enter__(self) -> Connection[Any]:
        if not isinstance(self._transaction, TaskTransaction):
            raise TypeError("`async def` handlers write `async with ctx.transaction()`")
        return self._left.enter_context(self._transaction.block())

    def __exit__(self, *raised: Any) -> bool | None:
        return self._left.__exit__(*raised)

    async def __aenter__(self) -> AsyncConnection[Any]:
        if not isinstance(self._transaction, AsyncTaskTransaction):
            raise TypeError("`def` handlers write `with ctx.transaction()`")
        return await self._left_async.enter_async_context(self._transaction.block())

    async def __aexit__(self, *raised: Any) -> bool | None:
        return await self._left_async.__aexit__(*raised)


def _not_here(name: str) -> PgFlowError:
    return PgFlowError(f"ctx.{name} works in the worker's own process; run the step without executor=…")


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """Binds flow, run, step and task to every record: in the text, and as attributes for structured logs."""

    def __init__(self, task: StartedTask) -> None:
        super().__init__(
            logging.getLogger("pgflow.task"),
            {
                "flow_slug": task.flow_slug,
                "run_id": str(task.run_id),
                "step_slug": task.step_slug,
                "task_index": task.task_index,
                "attempt": task.attempt,
            },
        )

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Put the task in front of the message, and its fields into `extra`."""
        bound = self.extra or {}
        kwargs["extra"] = {**bound, **(kwargs.get("extra") or {})}
        return f"{task_name(bound)} {msg}", kwargs
