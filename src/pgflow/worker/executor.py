"""One task in five steps: resolve, prepare, call, outcome, report."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Executor as ForeignExecutor
from dataclasses import replace
from typing import Final
from uuid import UUID

from pgflow import calls, telemetry
from pgflow._async.client import Client
from pgflow.errors import ConnectionLost, StepNotFound
from pgflow.flow import Flow, Step
from pgflow.types import Json, StartedTask, TaskReport
from pgflow.worker.attempt import Attempt, Clock
from pgflow.worker.context import Context
from pgflow.worker.outcome import Failed, Outcome, Released, failed, report, timed_out
from pgflow.worker.places import Places
from pgflow.worker.transactions import Transactions

logger = logging.getLogger("pgflow.worker")

ABANDONED_LIMIT: Final = 10
TRANSACTION_CONNECTIONS: Final = 4
_REFUSAL_SECONDS: Final = 10


class Executor:
    """Runs the handlers of some flows.

    `stopping` is what handlers see as `ctx.shutting_down`; `worker_ids` are those of the flows, for telemetry.
    `executors` are the user's by name, `processes` is how many there are for `executor="process"`. There are no more
    threads than tasks at once, and `abandoned_limit` that were left behind by handlers that took too long.
    `transaction_connections` bounds those for `ctx.transaction()`, of each kind; handlers wait for them. Raises
    DefinitionError for steps that ask for an executor that isn't there, or whose handler others can't import.
    """

    def __init__(
        self,
        flows: Mapping[str, Flow],
        client: Client,
        stopping: asyncio.Event,
        *,
        worker_ids: Mapping[str, UUID] | None = None,
        executors: Mapping[str, ForeignExecutor] | None = None,
        processes: int = 10,
        transaction_connections: int = TRANSACTION_CONNECTIONS,
        abandoned_limit: int = ABANDONED_LIMIT,
    ) -> None:
        self._flows = flows
        self._client = client
        self._stopping = stopping
        self._worker_ids = worker_ids or {}
        self._abandoned_limit = abandoned_limit
        self._was_healthy = True
        self._clock = Clock()
        self._places = Places(flows.values(), executors, processes=processes)
        self._transactions = Transactions(client.database, size=transaction_connections)

    @property
    def abandoned_threads(self) -> int:
        """Number of threads whose handler took too long, or whose task was taken away, and that haven't ended."""
        return self._places.abandoned_threads

    @property
    def is_healthy(self) -> bool:
        """Whether few enough threads are left behind. Otherwise tasks are given back to their queues."""
        return self.abandoned_threads < self._abandoned_limit

    async def execute(self, task: StartedTask) -> TaskReport:
        """Run the handler of a task and return what to report. Only raises when it is cancelled from outside."""
        attempt = self.start(task)
        try:
            await asyncio.wait({attempt.running})
        except asyncio.CancelledError:
            attempt.cancel()
            await asyncio.wait({attempt.running})
            raise
        return attempt.running.result()

    def start(self, task: StartedTask) -> Attempt:
        """Let the handler of a task run, and return the attempt, which answers with what to report."""
        return Attempt(task, self._perform, self._clock)

    def announce_stop(self) -> None:
        """Let handlers in processes see that the worker stops; those inside this process see `stopping`."""
        self._places.announce_stop()

    async def close(self) -> None:
        """End all processes, the threads that have nothing to do, and connections. The user's executors stay open."""
        self._places.close()
        await self._transactions.close()

    async def _perform(self, attempt: Attempt) -> TaskReport:
        task = attempt.task
        self._announce(task)
        try:
            outcome = await self._outcome(attempt)
        finally:
            attempt.end()
        if attempt.is_cancelled:  # whatever the handler has made of that
            raise asyncio.CancelledError
        if isinstance(outcome, Failed):
            outcome = self._with_retry_delay(task, outcome)
        return report(task, outcome)

    async def _outcome(self, attempt: Attempt) -> Outcome:
        task = attempt.task
        try:
            step = self._resolve(task)
            flow_input = await self._flow_input(task) if step.reads_flow_input else task.flow_input
            outcome = await self._call(step, attempt, flow_input)
        except asyncio.CancelledError as error:
            if attempt.is_late:
                return timed_out(task.timeout, traceback="\n".join(getattr(error, "__notes__", ())) or None)
            raise
        except ConnectionLost as error:
            logger.warning("task waits for the database: %s", error)
            return Released(_REFUSAL_SECONDS)
        except Exception as error:
            return failed(error)
        return _late(attempt, outcome) if attempt.is_late else outcome

    def _resolve(self, task: StartedTask) -> Step:
        flow = self._flows[task.flow_slug]
        try:
            return flow.steps[task.step_slug]
        except KeyError:  # a newer definition: an attempt later a newer worker may take it
            raise StepNotFound(task.step_slug, list(flow.steps)) from None

    async def _call(self, step: Step, attempt: Attempt, flow_input: Json) -> Outcome:
        if not self._has_places():
            return Released(_REFUSAL_SECONDS)
        if step.executor != "thread":
            return await self._places.call_elsewhere(step, attempt, flow_input)
        if not step.binding.wants_context:
            return await self._places.call(step, attempt, flow_input)
        deadline = attempt.deadline
        transaction = self._transactions.of(step, deadline)
        context = Context(
            attempt.task,
            deadline=deadline,
            is_stopping=self._stopping.is_set,
            client=self._client,
            read_flow_input=self._flow_input,
            transaction=transaction,
        )
        attempt.tell_when_it_ends(context.end)
        return await self._places.call_in_transaction(step, attempt, flow_input, context, transaction)

    def _has_places(self) -> bool:
        """Whether another handler may be called; says so once when that changes."""
        healthy = self.is_healthy
        if healthy != self._was_healthy:
            self._was_healthy = healthy
            logger.log(
                logging.WARNING if healthy else logging.ERROR,
                "%d threads don't end although their tasks have; %s",
                self.abandoned_threads,
                "their worker goes on" if healthy else "their worker gives all others back; restart it",
            )
        return healthy

    def _with_retry_delay(self, task: StartedTask, failure: Failed) -> Failed:
        """Say when the next attempt is due, where the flow has more to say about it than the database's formula."""
        if failure.final or failure.retry_delay is not None or task.step_slug not in self._flows[task.flow_slug].steps:
            return failure
        delay = self._flows[task.flow_slug].retry_delay(task.step_slug, task.backoff_attempt, task.base_delay)
        return replace(failure, retry_delay=delay)

    def _announce(self, task: StartedTask) -> None:
        worker_id = self._worker_ids.get(task.flow_slug)
        if worker_id is not None and telemetry.is_observed("task.start"):
            telemetry.emit("task.start", {"system_time": time.time()}, telemetry.task_metadata(task, worker_id))

    async def _flow_input(self, task: StartedTask) -> Json:
        return await self._client.database.run(calls.get_flow_input(task.run_id))


def _late(attempt: Attempt, outcome: Outcome) -> Failed:
    """Return the outcome of an `async def` handler that has ended after its time; the traceback says where it was."""
    described = ["It ignored its cancellation and was closed."] if attempt.is_closing else []
    if isinstance(outcome, Failed) and outcome.traceback:
        described.append(outcome.traceback)
    return timed_out(attempt.task.timeout, traceback="\n".join(described) or None)
