"""One task in five steps: resolve, prepare, call, outcome, report."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from pgflow import calls, telemetry
from pgflow._async.client import Client
from pgflow.errors import ConnectionLost, DefinitionError, StepNotFound
from pgflow.flow import Flow, Step
from pgflow.types import Json, StartedTask, TaskReport
from pgflow.worker.context import Context
from pgflow.worker.outcome import Failed, Outcome, Released, failed, report, timed_out
from pgflow.worker.pools import EventLoopPool, ThreadPool
from pgflow.worker.work import Work

logger = logging.getLogger("pgflow.worker")

ABANDONED_LIMIT: Final = 10
_REFUSAL_SECONDS: Final = 10


class Executor:
    """Runs the handlers of some flows.

    `stopping` is what handlers see as `ctx.shutting_down`; `worker_ids` are those of the flows, for telemetry. A worker
    has no more threads than tasks at once, and `abandoned_limit` that were left behind by handlers that took too long.
    """

    def __init__(
        self,
        flows: Mapping[str, Flow],
        client: Client,
        stopping: asyncio.Event,
        *,
        worker_ids: Mapping[str, UUID] | None = None,
        abandoned_limit: int = ABANDONED_LIMIT,
    ) -> None:
        for flow in flows.values():
            _check_executors(flow)
        self._flows = flows
        self._client = client
        self._stopping = stopping
        self._worker_ids = worker_ids or {}
        self._abandoned_limit = abandoned_limit
        self._was_healthy = True
        self._loop_pool = EventLoopPool()
        self._threads = ThreadPool()

    @property
    def abandoned_threads(self) -> int:
        """Number of threads whose handler took too long, or whose task was taken away, and that haven't ended."""
        return self._threads.abandoned

    @property
    def abandoned_coroutines(self) -> int:
        """Number of `async def` handlers that were cancelled more than five seconds ago and haven't ended."""
        return self._loop_pool.abandoned

    @property
    def is_healthy(self) -> bool:
        """Whether few enough handlers are left behind. Otherwise tasks are given back to their queues."""
        return max(self.abandoned_threads, self.abandoned_coroutines) < self._abandoned_limit

    async def execute(self, task: StartedTask) -> TaskReport:
        """Run the handler of a task and return what to report. Only raises when it is cancelled from outside."""
        self._announce(task)
        outcome = await self._outcome(task)
        if isinstance(outcome, Failed):
            outcome = self._with_retry_delay(task, outcome)
        return report(task, outcome)

    def close(self) -> None:
        """Let the threads end that have nothing to do."""
        self._threads.close()

    async def _outcome(self, task: StartedTask) -> Outcome:
        try:
            async with asyncio.timeout(task.timeout) as limit:
                step = self._resolve(task)
                return await self._call(step, task, await self._flow_input_for(step, task))
        except TimeoutError as error:
            return timed_out(task.timeout, traceback=_note(error)) if limit.expired() else failed(error)
        except ConnectionLost as error:
            logger.warning("task waits for the database: %s", error)
            return Released(_REFUSAL_SECONDS)
        except Exception as error:
            return failed(error)

    def _resolve(self, task: StartedTask) -> Step:
        flow = self._flows[task.flow_slug]
        try:
            return flow.steps[task.step_slug]
        except KeyError:  # a newer definition: an attempt later a newer worker may take it
            raise StepNotFound(task.step_slug, list(flow.steps)) from None

    async def _flow_input_for(self, step: Step, task: StartedTask) -> Json:
        is_root = step.shape.step_type == "single" and not step.shape.dependencies
        if is_root or not step.binding.wants_flow_input:
            return task.flow_input
        return await self._flow_input(task)

    async def _call(self, step: Step, task: StartedTask, flow_input: Json) -> Outcome:
        if not self._has_places():
            return Released(_REFUSAL_SECONDS)
        context = Context(task, self._client, read_flow_input=self._flow_input, stopping=self._stopping)
        work = Work(step.binding, task.input, flow_input, context)
        try:
            if step.is_async:
                return await self._loop_pool.call(work.perform_async(), f"handler of {_name(task)}")
            return await self._threads.call(work.perform)
        finally:
            context.end()

    def _has_places(self) -> bool:
        """Whether another handler may be called; says so once when that changes."""
        healthy = self.is_healthy
        if healthy != self._was_healthy:
            self._was_healthy = healthy
            logger.log(
                logging.WARNING if healthy else logging.ERROR,
                "%d handlers don't end although their tasks have; %s",
                max(self.abandoned_threads, self.abandoned_coroutines),
                "their worker goes on" if healthy else "their worker gives all others back; restart it",
            )
        return healthy

    def _with_retry_delay(self, task: StartedTask, failure: Failed) -> Failed:
        """Say when the next attempt is due, where the flow has more to say about it than the database's formula."""
        if failure.final or failure.retry_delay is not None or task.step_slug not in self._flows[task.flow_slug].steps:
            return failure
        return replace(failure, retry_delay=self._flows[task.flow_slug].retry_delay(task.step_slug, task.attempt))

    def _announce(self, task: StartedTask) -> None:
        worker_id = self._worker_ids.get(task.flow_slug)
        if worker_id is not None and telemetry.is_observed("task.start"):
            telemetry.emit("task.start", {"system_time": time.time()}, telemetry.task_metadata(task, worker_id))

    async def _flow_input(self, task: StartedTask) -> Json:
        return await self._client.database.run(calls.get_run_input(task.run_id))


def _check_executors(flow: Flow) -> None:
    problems = [
        f"step {slug!r} of flow {flow.slug!r} asks for executor {step.executor!r}; this worker offers 'thread'"
        for slug, step in flow.steps.items()
        if step.executor != "thread"
    ]
    if problems:
        raise DefinitionError(problems)


def _name(task: StartedTask) -> str:
    return f"{task.flow_slug}.{task.step_slug}[{task.task_index}]"


def _note(error: TimeoutError) -> str | None:
    """Return where the handler was when its time was over: what the pools have noted on the cancellation."""
    return "\n".join(getattr(error.__cause__, "__notes__", ())) or None
