"""What a worker does with one task, whole and in pieces, for tests of handlers and for workers of your own.

::

    report = await execute(greeting, task)  # a StartedTask, made by hand or given by pgflow.calls.fetch_tasks
    print(report.output or report.error_message)

The report can be sent by :func:`pgflow.calls.complete_tasks` or :func:`pgflow.calls.fail_tasks`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pgflow import serialize
from pgflow._async.client import Client
from pgflow.errors import StepNotFound
from pgflow.flow import Flow
from pgflow.handlers import Handler
from pgflow.types import Json, StartedTask, TaskReport
from pgflow.worker.context import Context
from pgflow.worker.executor import Executor

__all__ = ["build_context", "execute", "get_handler", "prepare_input", "serialize_error", "serialize_output"]


async def execute(
    flow: Flow[Any, Any], task: StartedTask, client: Client | None = None, *, timeout: int | None = None
) -> TaskReport:
    """Run the handler of a task as a worker does, and return what to report; never raises what the handler raises.

    `client` is what the handler sees as `ctx.client`, and reads the run's input where a handler asks for it. `timeout`,
    in seconds, takes the place of the task's.
    """
    flow.check()
    executor = Executor({task.flow_slug: flow}, client or Client(), asyncio.Event())
    try:
        return await executor.execute(task if timeout is None else replace(task, timeout=timeout))
    finally:
        await executor.close()


def get_handler(flow: Flow[Any, Any], step_slug: str) -> Handler:
    """Return the handler of a step. Raises StepNotFound, `No handler defined for step: …`."""
    return flow.handler(step_slug)


def build_context(task: StartedTask, client: Client | None = None) -> Context:
    """Return what a handler would receive as `ctx`; `ctx.flow_input()` isn't read before it is asked for."""

    async def read_flow_input(task: StartedTask) -> Json:
        return await (client or Client()).get_flow_input(task.run_id)

    return Context(
        task,
        deadline=datetime.now(UTC) + timedelta(seconds=task.timeout),
        is_stopping=lambda: False,
        client=client,
        read_flow_input=read_flow_input,
    )


def prepare_input(
    flow: Flow[Any, Any], task: StartedTask, context: Context | None = None, *, flow_input: Json = None
) -> dict[str, Any]:
    """Return the keyword arguments that the handler of a task is called with, validated.

    A root step receives the task's `flow_input`, as the definition says, whatever the task's input is; other steps that
    ask for the run's input receive `flow_input`. Raises StepNotFound, and InvalidInput with the field that is wrong.
    """
    if task.step_slug not in flow.steps:
        raise StepNotFound(task.step_slug, list(flow.steps))
    step = flow.steps[task.step_slug]
    is_root = step.shape.step_type == "single" and not step.shape.dependencies
    return step.binding.arguments(task.input, task.flow_input if is_root else flow_input, context)


def serialize_output(output: object) -> bytes:
    """Return the JSON text of what a handler returned. Raises InvalidInput, naming the place, for what isn't JSON."""
    return serialize.encode(output)


def serialize_error(error: object) -> str:
    """Return the text that is stored for an error: a text as it is, else `TypeName: message`, else its repr."""
    if isinstance(error, str):
        return error
    return serialize.describe_error(error) if isinstance(error, BaseException) else repr(error)
