"""Tasks that are executed without a worker and a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from pgflow import Flow, PgFlow
from pgflow.types import StartedTask, TaskReport
from pgflow.worker.executor import Executor

RUN_ID = UUID(int=1)


def executor_of(flow: Flow, **options: Any) -> Executor:
    """An executor that needs no database."""
    return Executor({flow.slug: flow}, PgFlow("postgresql://nobody@127.0.0.1:1/nowhere"), asyncio.Event(), **options)


def task_of(flow: Flow, value: Any = None, **fields: Any) -> StartedTask:
    """The first attempt at the only step of a flow."""
    (step_slug,) = fields.pop("steps", flow.steps)
    fields.setdefault("base_delay", flow.options["base_delay"])
    given = {"attempt": 1, "max_attempts": 3, "timeout": 60, "task_index": 0} | fields
    return StartedTask(flow.slug, RUN_ID, step_slug, input={}, flow_input=value, message_id=1, **given)


def raising(error: Callable[[], BaseException], *, is_async: bool, **options: Any) -> Flow:
    flow = Flow("raising", **options)

    def in_thread(value: Any) -> None:
        raise error()

    async def on_loop(value: Any) -> None:
        raise error()

    flow.step(on_loop if is_async else in_thread, slug="step")
    return flow


async def report_of(flow: Flow, value: Any = None, **fields: Any) -> TaskReport:
    executor = executor_of(flow)
    try:
        return await executor.execute(task_of(flow, value, **fields))
    finally:
        await executor.close()
