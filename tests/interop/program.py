"""A worker whose handler never ends: `python program.py URL`. Started by tests, which kill it."""

from __future__ import annotations

import asyncio
import sys

from pgflow import Flow, PgFlow

flow = Flow("fragile", base_delay=0)


@flow.step
async def only(value: object) -> None:
    print("begun", flush=True)
    await asyncio.sleep(1e9)


async def main(url: str) -> None:
    async with PgFlow(url, flows=[flow]) as app:
        await app.run_worker()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
