"""One task in five steps: resolve, validate, call, outcome, report."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping
from typing import Any

from pgflow import calls
from pgflow._async.client import Client
from pgflow.errors import DefinitionError, StepNotFound
from pgflow.flow import Flow, Step
from pgflow.types import Json, StartedTask, TaskReport
from pgflow.worker.context import Context
from pgflow.worker.outcome import Completed, Failed, Outcome, failed, report, timed_out
from pgflow.worker.pools import HandlerExit, ThreadPool

logger = logging.getLogger("pgflow.worker")


class Executor:
    """Runs the handlers of some flows. `stopping` is what handlers see as `ctx.shutting_down`."""

    def __init__(self, flows: Mapping[str, Flow], client: Client, stopping: asyncio.Event) -> None:
        for flow in flows.values():
            _check_executors(flow)
        self._flows = flows
        self._client = client
        self._stopping = stopping
        self._threads = ThreadPool()

    async def execute(self, task: StartedTask) -> TaskReport:
        """Run the handler of a task and return what to report. Only raises when it is cancelled from outside."""
        outcome = await self._outcome(task)
        _log(task, outcome)
        return report(task, outcome)

    def close(self) -> None:
        """Let the threads end that have nothing to do."""
        self._threads.close()

    async def _outcome(self, task: StartedTask) -> Outcome:
        try:
            async with asyncio.timeout(task.timeout) as limit:
                step = self._resolve(task)
                arguments = await self._validate(step, task)
                result = await self._call(step, arguments)
                return Completed(step.binding.encode(result))
        except TimeoutError as error:
            return timed_out(task.timeout) if limit.expired() else failed(error)
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return failed(error)  # the handler's own doing
        except HandlerExit as exit_:
            return failed(exit_.error)
        except GeneratorExit:  # Python puts the coroutine away
            raise
        except BaseException as error:
            return failed(error)

    def _resolve(self, task: StartedTask) -> Step:
        flow = self._flows[task.flow_slug]
        try:
            return flow.steps[task.step_slug]
        except KeyError:
            raise StepNotFound(task.step_slug, list(flow.steps)) from None

    async def _validate(self, step: Step, task: StartedTask) -> dict[str, Any]:
        is_root = step.shape.step_type == "single" and not step.shape.dependencies
        if not is_root and step.binding.wants_flow_input:
            flow_input = await self._flow_input(task)
        else:
            flow_input = task.flow_input
        context = Context(task, self._client, read_flow_input=self._flow_input, stopping=self._stopping)
        return step.binding.arguments(task.input, flow_input, context)

    async def _call(self, step: Step, arguments: dict[str, Any]) -> Any:
        if step.is_async:
            result = await step.handler(**arguments)
        else:
            result = await self._threads.call(step.handler, arguments)
        if inspect.iscoroutine(result):
            result.close()  # it is refused as no JSON; Python need not warn that nobody awaited it
        return result

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


def _log(task: StartedTask, outcome: Outcome) -> None:
    name = f"{task.flow_slug}.{task.step_slug}[{task.task_index}] of run {task.run_id}"
    match outcome:
        case Completed():
            logger.debug("%s completed", name)
        case Failed(error_message):
            logger.warning("%s failed, attempt %d of %d: %s", name, task.attempt, task.max_attempts, error_message)
