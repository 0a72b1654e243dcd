"""A worker that leaves traces, and may die at a chosen point: `python program.py URL NAME [POINT]`; tests start it."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import Any

from pgflow import Context, Flow, PgFlow
from pgflow.calls import Call, Exchanged
from pgflow.types import TaskReport
from pgflow.worker.exchange import ExchangeLoop
from pgflow.worker.outbox import Outbox
from pgflow.worker.pace import PollInterval
from pgflow.worker.trade import Traded, Trader
from pgflow.worker.worker import Worker

EFFECTS = "create table effects (run_id uuid not null, task_index int not null, attempt int not null)"
DIED = 9

many = Flow("many", base_delay=0)
single = Flow("single", base_delay=0)


async def leave_a_trace(ctx: Context) -> None:
    """Record that a handler ran, take a moment before and after."""
    await asyncio.sleep(random.uniform(0, 0.01))
    insert = "insert into effects values (%s, %s, %s) returning 1"
    await ctx.client.database.run(Call(insert, (ctx.run_id, ctx.task_index, ctx.attempt), list))
    await asyncio.sleep(random.uniform(0, 0.01))


@many.map
async def element(value: int, ctx: Context) -> int:
    """One of many."""
    await leave_a_trace(ctx)
    return value * 2


@single.step
async def only(value: int, ctx: Context) -> int:
    """The only step of many runs."""
    await leave_a_trace(ctx)
    return value * 2


def die(*_: object) -> None:
    """End as SIGKILL does: nothing is cleaned up."""
    os._exit(DIED)


def die_before_the_report() -> None:
    """Die when a result is about to be reported."""
    take = Outbox.take

    def dying(outbox: Outbox) -> list[TaskReport]:
        if outbox.waiting:
            die()
        return take(outbox)

    Outbox.take = dying  # type: ignore[method-assign]


def die_after_the_report() -> None:
    """Die when a result has been reported."""
    trade = Trader.trade

    async def dying(trader: Trader, *arguments: Any) -> Traded:
        traded = await trade(trader, *arguments)
        if traded.recorded:
            die()
        return traded

    Trader.trade = dying  # type: ignore[method-assign]


def die_after_the_fetch() -> None:
    """Die when tasks have been started that no handler has seen."""

    def dying(_: ExchangeLoop, exchanged: Exchanged) -> None:
        if exchanged.tasks:
            die()

    ExchangeLoop._accept = dying  # type: ignore[method-assign]


POINTS: dict[str, Any] = {
    "before the report": die_before_the_report,
    "after the report": die_after_the_report,
    "after the fetch": die_after_the_fetch,
}


async def main(url: str, name: str, point: str | None = None) -> None:
    if point:
        POINTS[point]()
    async with PgFlow(url, pool_size=3) as app:
        poll_interval = PollInterval(0.005, 0.05)
        await Worker(app, [many, single], concurrency=10, name=name, poll_interval=poll_interval).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
