"""Where handlers run: on the event loop, in threads, in processes, or in executors that the user brings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Executor as ForeignExecutor
from functools import partial
from typing import Final

from pgflow._async.transaction import AsyncTaskTransaction
from pgflow._sync.transaction import TaskTransaction
from pgflow.errors import DefinitionError
from pgflow.flow import Flow, Step
from pgflow.handlers import import_problem, is_importable
from pgflow.types import Json
from pgflow.worker import remote
from pgflow.worker.attempt import Attempt
from pgflow.worker.context import Context
from pgflow.worker.foreign import call_foreign
from pgflow.worker.outcome import Outcome
from pgflow.worker.pools import ThreadPool
from pgflow.worker.processes import ProcessPool
from pgflow.worker.transactions import perform, perform_async
from pgflow.worker.work import Work

_OWN: Final = ("thread", "process")


class Places:
    """Calls handlers where their steps say. `executors` are the user's by name, `processes` bounds the process pool.

    Raises :class:`DefinitionError`, listing all steps that ask for what isn't there, and handlers that other processes
    can't import.
    """

    def __init__(
        self, flows: Collection[Flow], executors: Mapping[str, ForeignExecutor] | None = None, *, processes: int
    ) -> None:
        self._executors = dict(executors or {})
        found = [*_executor_problems(self._executors), *_step_problems(flows, [*_OWN, *self._executors])]
        if found:
            raise DefinitionError(found)
        self._mapped_over = {
            (flow.slug, over)
            for flow in flows
            for step in flow.steps.values()
            if step.shape.step_type == "map"
            for over in step.shape.dependencies
            if flow.steps[over].shape.step_type == "single"
        }
        self._threads = ThreadPool()
        self._processes = ProcessPool(self._threads, processes)

    @property
    def abandoned_threads(self) -> int:
        """Number of threads whose handler took too long, or whose task was taken away, and that haven't ended."""
        return self._threads.abandoned

    async def call(self, step: Step, attempt: Attempt, flow_input: Json) -> Outcome:
        """Call a handler that wants no context. Cancelling cancels it on the event loop, and abandons its thread."""
        work = Work(step.binding, attempt.task.input, flow_input)
        if step.is_async:
            return await work.perform_async(attempt)
        return await self._threads.call(work.perform)

    async def call_in_transaction(
        self,
        step: Step,
        attempt: Attempt,
        flow_input: Json,
        context: Context,
        transaction: AsyncTaskTransaction | TaskTransaction,
    ) -> Outcome:
        """Call a handler that wants a context, and commit what it wrote in its transaction with its completion."""
        task = attempt.task
        is_mapped_over = (task.flow_slug, task.step_slug) in self._mapped_over
        work = Work(step.binding, task.input, flow_input, context, is_mapped_over)
        if isinstance(transaction, AsyncTaskTransaction):
            return await perform_async(work, attempt, transaction)
        return await self._threads.call(partial(perform, work, task, transaction))

    async def call_elsewhere(self, step: Step, attempt: Attempt, flow_input: Json) -> Outcome:
        """Call a handler in an executor of the user's, or in a process, which is killed when this is cancelled."""
        name = step.executor
        is_own = name == "process"
        request = remote.request(step, attempt.task, flow_input, attempt.deadline, with_main=is_own)
        if is_own:
            return remote.outcome(await self._processes.call(request))
        return remote.outcome(await call_foreign(self._executors[name], name, request))

    def announce_stop(self) -> None:
        """Let handlers in processes see that the worker stops."""
        self._processes.announce_stop()

    def close(self) -> None:
        """End all processes, and the threads that have nothing to do. The user's executors are the user's to close."""
        self._processes.close()
        self._threads.close()


def _executor_problems(executors: Mapping[str, ForeignExecutor]) -> Iterable[str]:
    for name, executor in executors.items():
        if name in _OWN or not isinstance(name, str):
            yield f"an executor can't be called {name!r}"
        if not callable(getattr(executor, "submit", None)):
            yield f"executor {name!r} must be a concurrent.futures.Executor, not {executor!r}"


def _step_problems(flows: Iterable[Flow], offered: list[str]) -> Iterable[str]:
    for flow in flows:
        for slug, step in flow.steps.items():
            place = f"step {slug!r} of flow {flow.slug!r}"
            if step.executor not in offered:
                yield f"{place} asks for executor {step.executor!r}; this worker offers {', '.join(map(repr, offered))}"
            elif step.executor != "thread" and (problem := _import_problem(step)):
                yield f"{place}: {problem}"


def _import_problem(step: Step) -> str | None:
    if not is_importable(step.handler):
        return f"executor={step.executor!r} needs a function at the top level of a module"
    return import_problem(step.handler)
