"""The commands of a peer's program, and the watch over its workers. Each prints its result as JSON on the last line."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from peers import tally
from peers.adapter import Adapter

Options = Mapping[str, Any]

_PAUSE = 0.01
_STALLED_AFTER = 0.5
_STOP_SECONDS = 15
_WARM_UP = 10
_LONGEST_WAIT = 30


def main(adapter_class: type[Adapter]) -> None:
    """Run the command that the arguments name."""
    logging.basicConfig(level=logging.WARNING)
    _, command, text = sys.argv
    options = json.loads(text)
    result = _COMMANDS[command](adapter_class(options.get("url", ""), options.get("kind", "jobs")), options)
    print(json.dumps(result), flush=True)


def describe(adapter: Adapter, options: Options) -> dict[str, Any]:
    return {"versions": adapter.versions(), "settings": adapter.settings, "kinds": sorted(adapter.kinds)}


def prepare(adapter: Adapter, options: Options) -> dict[str, Any]:
    adapter.prepare()
    return {}


def enqueue(adapter: Adapter, options: Options) -> dict[str, Any]:
    began = time.monotonic()
    adapter.enqueue(options["kind"], options["count"])
    return {"seconds": time.monotonic() - began}


def work(adapter: Adapter, options: Options) -> dict[str, Any]:
    """Run a worker as soon as somebody says so: importing and setting up isn't part of what is measured."""
    print("ready", flush=True)
    sys.stdin.readline()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    adapter.work()
    return {}


def drain(adapter: Adapter, options: Options) -> dict[str, Any]:
    """Work until all that was started has ended, all but `leave` of it, at most `limit` seconds."""
    expected = adapter.handler_runs(options["kind"], options["count"])
    with _tallies() as folder, ExitStack() as stack:
        workers = [stack.enter_context(_worker(options)) for _ in range(options["processes"])]
        adapter.unfinished()  # connects
        began = time.monotonic()
        for worker in workers:
            _begin(worker)
        is_finished = _watch(adapter, folder, workers, expected, options)
        seconds = time.monotonic() - began
        peaks = [_peak_megabytes(worker.pid) for worker in workers]
        handled, _ = tally.read(folder)
        if is_finished and handled < expected:
            raise RuntimeError(f"only {handled} of {expected} handlers have run; errors are above")
        return {
            "seconds": seconds,
            "finished": is_finished,
            "handled": min(handled, expected),
            "peak_megabytes": max((peak for peak in peaks if peak is not None), default=None),
        }


def latency(adapter: Adapter, options: Options) -> dict[str, Any]:
    """Start jobs one by one while a worker waits for them; milliseconds from the start to handler and to result."""
    with _tallies() as folder, _worker(options) as worker:
        _begin(worker)
        return asyncio.run(_one_by_one(adapter, folder, options["samples"], options["limit"]))


def idle(adapter: Adapter, options: Options) -> dict[str, Any]:
    """Keep a worker without work, and say when it has settled, so that others can watch what it does."""
    with _tallies(), _worker(options) as worker:
        _begin(worker)
        time.sleep(options["settle_seconds"])
        print("settled", flush=True)
        sys.stdin.readline()
        _check(worker)
    return {}


_COMMANDS: dict[str, Callable[[Adapter, Options], dict[str, Any]]] = {
    "describe": describe,
    "prepare": prepare,
    "enqueue": enqueue,
    "work": work,
    "drain": drain,
    "latency": latency,
    "idle": idle,
}


def _watch(
    adapter: Adapter, folder: Path, workers: list[subprocess.Popen[str]], expected: int, options: Options
) -> bool:
    """Return whether everything has ended in time. The database is asked only when the handlers have run."""
    began = progressed = time.monotonic()
    before = 0
    while (now := time.monotonic()) - began < options["limit"]:
        count, _ = tally.read(folder)
        if count != before:
            before, progressed = count, now
        is_quiet = count >= expected or now - progressed > _STALLED_AFTER
        if is_quiet and adapter.unfinished() <= options.get("leave", 0):
            return True
        for worker in workers:
            _check(worker)
        time.sleep(_PAUSE)
    return False


async def _one_by_one(adapter: Adapter, folder: Path, samples: int, limit: float) -> dict[str, Any]:
    to_handler: list[float] = []
    to_result: list[float] = []
    await adapter.open()
    deadline = time.monotonic() + limit
    for number in range(_WARM_UP + samples):
        await asyncio.sleep(random.uniform(0.02, 0.06))  # noqa: S311 - no secret; the worker becomes idle meanwhile
        began = time.monotonic_ns()
        async with asyncio.timeout(_LONGEST_WAIT):
            await adapter.wait_for(await adapter.start_one())
        ended = time.monotonic_ns()
        if number >= _WARM_UP:
            to_handler.append(_milliseconds(tally.read(folder)[1] - began))
            to_result.append(_milliseconds(ended - began))
        if time.monotonic() > deadline:
            break
    await adapter.close()
    return {"to_handler": to_handler, "to_result": to_result}


def _milliseconds(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)


@contextmanager
def _tallies() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ[tally.FOLDER] = folder
        yield Path(folder)


@contextmanager
def _worker(options: Options) -> Iterator[subprocess.Popen[str]]:
    """Start this same program as a worker, and stop it with whatever it has started at the end."""
    module = sys.modules["__main__"].__spec__
    assert module is not None
    worker = subprocess.Popen(
        [sys.executable, "-m", module.name, "work", json.dumps(dict(options))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert worker.stdout is not None
    try:
        if worker.stdout.readline().strip() != "ready":
            raise RuntimeError("a worker hasn't started; its error is above")
        yield worker
    finally:
        worker.terminate()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.communicate()


def _end_with_parent() -> None:
    """End this worker when its parent, who holds the other end of its input, has been killed."""
    os.read(sys.stdin.fileno(), 1)  # not sys.stdin: its lock would stay held in forked children
    os.kill(os.getpid(), signal.SIGKILL)


def _begin(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


def _check(worker: subprocess.Popen[str]) -> None:
    if worker.poll() is not None:
        raise RuntimeError(f"a worker has ended with status {worker.returncode}; its error is above")


def _peak_megabytes(process_id: int) -> float | None:
    """Return the most memory that a process has had resident, where the system tells."""
    path = Path(f"/proc/{process_id}/status")
    if not path.exists():
        return None
    [line] = [line for line in path.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
