"""How a worker process ends."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pgflow import Flow, PgFlow, Run, WorkerState
from pgflow.worker.worker import Worker
from worker import program
from worker.running import DEADLINE_SECONDS, QUICK, eventually, query, task

KINDS = ["thread", "async"]


class Process:
    """A worker in a process of its own, which turns warnings into errors; its log is read as it comes."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-X", "dev", "-W", "error", program.__file__ or "", url]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    async def until_logged(self, text: str) -> None:
        await eventually(lambda: text in self.output or self._process.poll() is not None, f"the worker logs {text!r}")
        assert text in self.output, self.output

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def exit_code(self, within: float = DEADLINE_SECONDS) -> int:
        code = self._process.wait(within)
        self._reader.join()
        return code

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(self._process.stdout)


@pytest.fixture
async def process(url: str) -> AsyncIterator[Process]:
    process = Process(url)
    yield process
    process.end()


@pytest.fixture
def released(tmp_path: Path) -> Path:
    return tmp_path / "released"


async def begun(app: PgFlow, process: Process, kind: str, released: Path) -> Run:
    """Start a run and return it when its handler runs in the process."""
    await process.until_logged("worker runs")
    entered = released.with_name("entered")
    run = await app.start_flow(program.flow, {"kind": kind, "entered": str(entered), "released": str(released)})
    await eventually(entered.exists, "the handler runs")
    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_signal_lets_the_running_task_finish(
    app: PgFlow, url: str, process: Process, released: Path, kind: str, number: int
) -> None:
    run = await begun(app, process, kind, released)
    process.send(number)
    await process.until_logged("worker stops, 1 tasks to finish")
    await asyncio.to_thread(released.touch)
    assert process.exit_code() == 0
    assert (await run.refresh()).status == "completed"
    assert query(url, "select stopped_at is not null as stopped from pgflow.workers") == [{"stopped": True}]
    assert process.lines[-1] == "worker stopped\n"
    assert "Warning" not in process.output
    assert "Traceback" not in process.output


@pytest.mark.parametrize("kind", KINDS)
async def test_a_second_signal_ends_it_at_once(
    app: PgFlow, url: str, process: Process, released: Path, kind: str
) -> None:
    await begun(app, process, kind, released)
    process.send(signal.SIGTERM)
    await process.until_logged("worker stops")
    process.send(signal.SIGTERM)
    assert process.exit_code(within=5) == 0
    assert (task(url)["status"], task(url)["attempts_count"], task(url)["error_message"]) == ("queued", 0, None)
    assert "worker abandons 1 tasks" in process.output
    assert "Traceback" not in process.output


async def test_an_idle_worker_ends_at_the_first_signal(process: Process) -> None:
    await process.until_logged("worker runs")
    process.send(signal.SIGINT)
    assert process.exit_code(within=5) == 0


async def test_a_signal_is_for_all_workers_of_an_event_loop(app: PgFlow) -> None:
    async def nothing(value: int) -> None: ...

    workers = []
    for slug in ("one", "two"):
        flow = Flow(slug)
        flow.step(nothing)
        workers.append(Worker(app, [flow], poll_interval=QUICK))
    running = [asyncio.create_task(worker.run()) for worker in workers]
    await eventually(lambda: all(worker.state == WorkerState.RUNNING for worker in workers), "both work")
    await workers[0].stop()
    await running[0]
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await running[1]
    again = [Worker(app, worker._flows.values(), poll_interval=QUICK) for worker in workers]
    running = [asyncio.create_task(worker.run()) for worker in again]
    await eventually(lambda: all(worker.state == WorkerState.RUNNING for worker in again), "both work again")
    signal.raise_signal(signal.SIGINT)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.gather(*running)
    assert {worker.state for worker in (*workers, *again)} == {WorkerState.STOPPED}
