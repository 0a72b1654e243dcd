"""A worker of chains and maps that leave a trace with each task: `python workload.py URL`; tests start and kill it."""

from __future__ import annotations

import asyncio
import random
import sys

from pgflow import Context, Flow, PgFlow, PollInterval

EFFECTS = """
    create table effects (run_id uuid not null, step_slug text not null, task_index int not null, attempt int not null)
"""
CHAIN_LENGTH = 5
OPTIONS = {"base_delay": 0, "timeout": 3, "max_attempts": 10}

chain = Flow("chain", **OPTIONS)
fan = Flow("fan", **OPTIONS)


async def work(ctx: Context) -> None:
    """Take a moment, and write down, together with its completion, that the task has been done."""
    await asyncio.sleep(random.uniform(0, 0.1))
    key = (ctx.run_id, ctx.step_slug, ctx.task_index, ctx.attempt)
    async with ctx.transaction() as connection:
        await connection.execute("insert into effects values (%s, %s, %s, %s)", key)


@chain.step
async def link_1(value: int, ctx: Context) -> int:
    """The first of a chain."""
    await work(ctx)
    return value + 1


def _link(number: int) -> None:
    async def link(deps: dict[str, int], ctx: Context) -> int:
        await work(ctx)
        return deps[f"link_{number - 1}"] + 1

    chain.step(slug=f"link_{number}", depends_on=[f"link_{number - 1}"])(link)


for _number in range(2, CHAIN_LENGTH + 1):
    _link(_number)


@fan.step
async def numbers(count: int, ctx: Context) -> list[int]:
    """Say how many there are."""
    await work(ctx)
    return list(range(count))


@fan.map(over=numbers)
async def double(number: int, ctx: Context) -> int:
    """One of many."""
    await work(ctx)
    return 2 * number


@fan.step
async def total(double: list[int], ctx: Context) -> int:
    """All of them together."""
    await work(ctx)
    return sum(double)


async def main(url: str) -> None:
    async with PgFlow(url, flows=[chain, fan], pool_size=3) as app:
        await app.run_worker(
            concurrency=15, poll_interval=PollInterval(0.01, 0.2), heartbeat_interval=2, recovery_interval=2
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
