"""Handlers that other processes import."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pgflow import Context, NonRetryable, Retry, Snooze, job


class Order(BaseModel):
    number: int
    names: list[str] = []


def process_id(value: Any) -> int:
    return os.getpid()


def echo(value: Any) -> Any:
    return value


@job(executor="process")
def process_id_of_a_job(order: Order) -> list[Any]:
    return [os.getpid(), type(order).__name__]


def validated(order: Order) -> Order:
    return Order(number=order.number + 1, names=[*order.names, type(order).__name__])


def facts(value: Any, ctx: Context) -> list[Any]:
    ids = [str(ctx.run_id), ctx.flow_slug, ctx.step_slug, ctx.task_index, ctx.attempt, ctx.max_attempts]
    return [*ids, ctx.is_last_attempt, ctx.deadline.isoformat(), ctx.shutting_down, ctx.cancelled]


def asks_for_client(value: Any, ctx: Context) -> None:
    print(ctx.client)


def asks_for_transaction(value: Any, ctx: Context) -> None:
    with ctx.transaction():
        pass


def raises(kind: str) -> None:
    match kind:
        case "plain":
            raise ValueError("odd\0")
        case "SystemExit":
            raise SystemExit(3)
        case "KeyboardInterrupt":
            raise KeyboardInterrupt
        case "recursion":
            raises(kind)
        case "retry":
            raise Retry(after=7)
        case "final":
            raise NonRetryable("no")
        case "snooze":
            raise Snooze(9)


def returns_function(value: Any) -> Any:
    return process_id


def dies(how: str) -> None:
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


def uses_streams(value: Any) -> list[str]:
    print("printed")
    os.write(1, b"written\n")
    sys.stdout.flush()
    return [sys.stdin.read()]


def logs(value: Any, ctx: Context) -> None:
    ctx.logger.info("found %d", 3, extra={"pages": 3, "odd": {1j}})
    logging.getLogger("mine").debug("not wanted")
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("mine").exception("caught")


def hangs(folder: str) -> None:
    """Start a process of its own, say so, and never end."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(folder, "pids.part").write_text(f"{os.getpid()} {started.pid}")
    Path(folder, "pids.part").rename(Path(folder, "pids"))
    while True:
        time.sleep(60)


def holds_the_lock(folder: str) -> None:
    """Never let another thread of the process run."""
    Path(folder, "pids").write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(600)


def waits_for_the_stop(folder: str, ctx: Context) -> list[bool]:
    seen = [ctx.shutting_down]
    Path(folder, "entered").touch()
    while not ctx.shutting_down:
        time.sleep(0.005)
    return [*seen, ctx.shutting_down]


def counts(value: Any) -> int:
    counts.calls = getattr(counts, "calls", 0) + 1  # type: ignore[attr-defined]
    return counts.calls  # type: ignore[attr-defined,no-any-return]


def leaves_a_thread(value: Any) -> int:
    threading.Thread(target=threading.Event().wait).start()
    return os.getpid()


def twice(function: Any) -> Any:
    @functools.wraps(function)
    def call(value: int) -> int:
        return int(function(function(value)))

    return call


@twice
def doubled(value: int) -> int:
    return 2 * value


class Counter:
    @staticmethod
    def negated(value: int) -> int:
        return -value

    def bound(self, value: int) -> int:
        return value


def burn(rounds: int) -> list[int]:
    """Use a processor, and say in which process and until when."""
    total = 0
    for number in range(rounds):
        total += number * number
    return [os.getpid(), total]


def joined(first: int, flow_input: int) -> list[int]:
    return [first, flow_input]


def sleeps(seconds: float | None) -> None:
    """Sleep in pieces, so that a process that is asked to end can."""
    until = time.monotonic() + (seconds or 0.2)
    while time.monotonic() < until:
        time.sleep(0.05)
