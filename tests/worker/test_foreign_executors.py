"""Handlers in executors that the user brings."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from pgflow import DefinitionError, Flow, PgFlow
from pgflow.types import TaskReport
from worker import handlers_elsewhere as elsewhere
from worker.executing import RUN_ID, executor_of, task_of
from worker.running import eventually


def flow_of(handler: Any = elsewhere.echo, executor: str = "mine", **options: Any) -> Flow:
    flow = Flow("foreign", **options)
    flow.step(handler, slug="step", executor=executor)
    return flow


async def report_of(foreign: Executor, value: Any = None, handler: Any = elsewhere.echo, **fields: Any) -> TaskReport:
    flow = flow_of(handler)
    executor = executor_of(flow, executors={"mine": foreign})
    try:
        return await executor.execute(task_of(flow, value, **fields))
    finally:
        await executor.close()


class Waiting(Executor):
    """An executor that does nothing by itself."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        self.futures.append(Future())
        return self.futures[-1]


async def test_a_thread_pool_will_do() -> None:
    with ThreadPoolExecutor(thread_name_prefix="theirs") as threads:
        assert (await report_of(threads, {"a": [1]})).output == b'{"a":[1]}'
        report = await report_of(threads, "final", elsewhere.raises)
        assert report == TaskReport(RUN_ID, "step", 0, 1, error_message="NonRetryable: no", final=True)


async def test_a_process_pool_will_do() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert (await report_of(processes, 3, elsewhere.doubled)).output == b"12"
        assert "SIGKILL" not in ((await report_of(processes, "kill", elsewhere.dies)).error_message or "")
        assert "BrokenProcessPool" in ((await report_of(processes, 1)).error_message or "")


async def test_an_executor_that_takes_no_more_fails_the_attempt() -> None:
    threads = ThreadPoolExecutor()
    threads.shutdown()
    assert (await report_of(threads)).error_message == "RuntimeError: cannot schedule new futures after shutdown"


async def test_a_timeout_cancels_the_future() -> None:
    foreign = Waiting()
    assert (await report_of(foreign, timeout=0.05)).error_message == "Task timed out after 0.05s"
    await eventually(lambda: foreign.futures[0].cancelled(), "the future is cancelled")


async def test_a_future_that_the_executor_cancels_fails_the_attempt() -> None:
    foreign = Waiting()
    running = asyncio.create_task(report_of(foreign))
    await eventually(lambda: foreign.futures, "the task is submitted")
    foreign.futures[0].cancel()
    foreign.futures[0].set_running_or_notify_cancel()
    assert (await running).error_message == "RuntimeError: executor 'mine' has cancelled the task"


async def test_an_answer_that_comes_too_late_is_ignored() -> None:
    with ThreadPoolExecutor() as threads:
        report = await report_of(threads, 0.2, elsewhere.sleeps, timeout=0.05)
    assert report.error_message == "Task timed out after 0.05s"


async def test_an_odd_answer_fails_the_attempt() -> None:
    foreign = Waiting()
    running = asyncio.create_task(report_of(foreign))
    await eventually(lambda: foreign.futures, "the task is submitted")
    foreign.futures[0].set_result(b"odd")
    assert (await running).error_message == "ValueError: no answer of a handler: b'odd'"


async def test_a_worker_lends_executors_to_its_steps(url: str) -> None:
    flow = Flow("foreign")
    flow.step(lambda value: value + 1, slug="first")
    flow.step(elsewhere.joined, executor="mine")
    flow.map(elsewhere.echo, slug="mapped", over="joined", executor="process")
    with ThreadPoolExecutor() as threads:
        async with PgFlow(url, flows=[flow], executors={"mine": threads}) as app:
            worker = app.worker()
            await worker.start()
            assert await (await app.start_flow(flow, 1)).result(20) == {"mapped": [2, 1]}
            await worker.stop()
        assert threads.submit(str).result() == ""


@pytest.mark.parametrize(
    ("flow", "executors", "problem"),
    [
        (
            flow_of(),
            {},
            "step 'step' of flow 'foreign' asks for executor 'mine'; this worker offers 'thread', 'process'",
        ),
        (
            flow_of(),
            {"yours": Waiting()},
            "step 'step' of flow 'foreign' asks for executor 'mine'; this worker offers 'thread', 'process', 'yours'",
        ),
        (
            flow_of(lambda value: value),
            {"mine": Waiting()},
            "step 'step' of flow 'foreign': executor='mine' needs a function at the top level of a module",
        ),
        (flow_of(), {"mine": 3}, "executor 'mine' must be a concurrent.futures.Executor, not 3"),
        (flow_of(), {"mine": Waiting(), "thread": Waiting()}, "an executor can't be called 'thread'"),
    ],
    ids=["none", "another", "lambda", "no executor", "name in use"],
)
def test_what_cannot_work_is_refused_before_the_worker_starts(flow: Flow, executors: Any, problem: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        executor_of(flow, executors=executors)
    assert refused.value.problems == (problem,)
