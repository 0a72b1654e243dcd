"""A worker with more to do than it can: `python load.py URL TIMEOUT`; prints a line when it works. Started by tests."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from pgflow import Flow, PgFlow

flow = Flow("load", max_attempts=1, timeout=3600)


@flow.map
async def on_loop(seconds: float) -> float:
    """Take a while."""
    await asyncio.sleep(seconds)
    return seconds


@flow.map
def in_thread(seconds: float) -> float:
    """Take a while in a thread, which nobody can end."""
    time.sleep(seconds)
    return seconds


async def main(url: str, timeout: str) -> None:
    async with PgFlow(url, flows=[flow]) as app:
        await app.run_worker(concurrency=20, timeout=float(timeout))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(main(*sys.argv[1:]))
