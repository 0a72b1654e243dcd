"""A worker in a process of its own, to be killed in the midst of a task: `python program.py URL`."""

from __future__ import annotations

import asyncio
import sys

from pgflow import Flow, PgFlow

flow = Flow("killed", timeout=1, max_attempts=1)


@flow.step
async def only(_: object) -> None:
    print("begun", flush=True)
    await asyncio.sleep(3600)


async def main(url: str) -> None:
    """Work until killed; heartbeats recover nothing meanwhile."""
    async with PgFlow(url) as app:
        await app.run_worker(flow, recovery_interval=3600)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
