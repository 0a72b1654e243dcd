"""One task after the other, each in its language."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from interop.reference import NodeWorker
from pgflow import Flow, PgFlow
from pgflow.worker.worker import Worker
from worker.running import DEADLINE_SECONDS, QUICK


async def work_in_python(app: PgFlow, make: Callable[[Callable[[], object]], Flow], concurrency: int = 1) -> None:
    """Run a worker that leaves when the flow that is made says that it has begun."""
    worker = Worker(app, [make(lambda: worker.request_stop())], concurrency=concurrency, poll_interval=QUICK)
    await worker.start()
    await asyncio.wait_for(worker.wait(), DEADLINE_SECONDS)


async def work_in_node(url: str, flow_slug: str, tasks: int = 1) -> None:
    """Run a worker of the reference that leaves after so many tasks."""
    await asyncio.to_thread(lambda: NodeWorker(url, flow_slug, tasks).finish())


async def work_in_turn(
    app: PgFlow, url: str, make: Callable[[Callable[[], object]], Flow], languages: list[str]
) -> None:
    """Work one task after the other, each in its language."""
    for language in languages:
        if language == "node":
            await work_in_node(url, make(print).slug)
        else:
            await work_in_python(app, make)
