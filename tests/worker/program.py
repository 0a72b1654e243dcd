"""A program that works flows until it gets a signal: `python program.py URL`. Started by tests."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from pathlib import Path

from pgflow import Flow, PgFlow

flow = Flow("program", max_attempts=1)


@flow.step(if_={"kind": "thread"}, when_unmet="skip")
def in_thread(files: dict[str, str]) -> str:
    """Say that it has begun, and wait for the permission to end."""
    Path(files["entered"]).touch()
    while not may_end(files):
        time.sleep(0.005)
    return "done"


@flow.step(if_={"kind": "async"}, when_unmet="skip")
async def on_loop(files: dict[str, str]) -> str:
    """Say that it has begun, and wait for the permission to end."""
    await asyncio.to_thread(Path(files["entered"]).touch)
    while not may_end(files):  # noqa: ASYNC110 - another process gives it
        await asyncio.sleep(0.005)
    return "done"


def may_end(files: dict[str, str]) -> bool:
    """Whether the test has given the permission."""
    return Path(files["released"]).exists()


async def main(url: str) -> None:
    asyncio.get_running_loop().slow_callback_duration = 60  # tests read the log, and a busy machine is no defect
    async with PgFlow(url, flows=[flow]) as app:
        await app.run_worker()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(main(sys.argv[1]))
