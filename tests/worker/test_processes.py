"""Handlers in processes: what travels there and back, what they can't do to others, and how they end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from pgflow import DefinitionError, Flow
from pgflow.types import TaskReport
from pgflow.worker.executor import Executor
from worker import handlers_elsewhere as elsewhere
from worker.executing import RUN_ID, executor_of, task_of
from worker.running import eventually


def flow_of(handler: Callable[..., Any], **options: Any) -> Flow:
    flow = Flow("elsewhere", **options)
    flow.step(handler, slug="step", executor="process")
    return flow


class Bench:
    """Executors with one process each, which are closed at the end."""

    def __init__(self) -> None:
        self.executors: dict[Any, Executor] = {}

    async def report(self, handler: Callable[..., Any], value: Any = None, **fields: Any) -> TaskReport:
        """Run a handler in the process that is there for it, which is started the first time."""
        flow = flow_of(handler)
        executor = self.executors.setdefault(handler, executor_of(flow, processes=1))
        return await executor.execute(task_of(flow, value, **fields))

    async def close(self) -> None:
        for executor in self.executors.values():
            await executor.close()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """What most tests share, since a process takes half a second to start."""
    bench = Bench()
    yield bench
    asyncio.run(bench.close())


@pytest.fixture
async def own_bench() -> AsyncIterator[Bench]:
    """A bench of one's own, which leaves nothing behind."""
    before, bench = children(), Bench()
    yield bench
    await bench.close()
    await eventually(lambda: children() <= before, "the processes have ended")
    (executor,) = bench.executors.values()
    await eventually(lambda: executor.abandoned_threads == 0, "and the threads that waited for them")


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def is_alive(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# There and back


async def test_a_handler_runs_in_another_process_which_is_used_again(bench: Bench) -> None:
    first, second = [await bench.report(elsewhere.process_id) for _ in range(2)]
    assert first.output == second.output
    assert first.output != str(os.getpid()).encode()


@pytest.mark.parametrize(
    "value",
    [None, False, 0, "", [], {}, "äöü\U0001f600", 2**100, 1e300, {"a": [{"b": None}]}, "x" * 300_000],
    ids=lambda value: repr(value)[:20],
)
async def test_values_arrive_as_they_are(bench: Bench, value: Any) -> None:
    report = await bench.report(elsewhere.echo, value)
    assert report.output is not None
    assert json.loads(report.output) == value


async def test_annotations_are_enforced_there(bench: Bench) -> None:
    report = await bench.report(elsewhere.validated, {"number": "1"})
    assert report.output == b'{"number":2,"names":["Order"]}'
    refused = await bench.report(elsewhere.validated, {"number": "x"})
    assert "order.number: Input should be a valid integer" in (refused.error_message or "")


async def test_the_context_knows_the_task(bench: Bench) -> None:
    report = await bench.report(elsewhere.facts, attempt=3, timeout=50)
    *ids, is_last, deadline, shutting_down, cancelled = json.loads(report.output or b"")
    assert ids == [str(RUN_ID), "elsewhere", "step", 0, 3, 3]
    assert (is_last, shutting_down, cancelled) == (True, False, False)
    assert timedelta() < datetime.fromisoformat(deadline) - datetime.now(UTC) <= timedelta(seconds=50)


async def test_the_client_stays_at_home(bench: Bench) -> None:
    report = await bench.report(elsewhere.asks_for_client)
    expected = "PgFlowError: ctx.client works in the worker's own process; run the step without executor=…"
    assert report.error_message == expected


# What is raised


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("plain", {"error_message": "ValueError: odd\ufffd"}),
        ("SystemExit", {"error_message": "SystemExit: 3"}),
        ("KeyboardInterrupt", {"error_message": "KeyboardInterrupt"}),
        ("retry", {"error_message": "Retry: asked for, again in 7 s", "retry_delay": 7}),
        ("final", {"error_message": "NonRetryable: no", "final": True}),
        ("snooze", {"release_delay": 9}),
    ],
)
async def test_what_is_raised_there_counts_here(bench: Bench, kind: str, expected: dict[str, Any]) -> None:
    report = await bench.report(elsewhere.raises, kind)
    assert report == TaskReport(RUN_ID, "step", 0, 1, **expected)
    if "error_message" in expected:
        assert "handlers_elsewhere.py" in (report.traceback or "")


async def test_an_endless_recursion_there_is_an_error_here(bench: Bench) -> None:
    report = await bench.report(elsewhere.raises, "recursion")
    assert (report.error_message or "").startswith("RecursionError: maximum recursion depth exceeded")


async def test_a_result_that_is_no_json_is_refused_there(bench: Bench) -> None:
    report = await bench.report(elsewhere.returns_function)
    assert report.error_message == "InvalidInput: $: function can't be stored as JSON"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("segfault", "ProcessEnded: the process of the handler was killed by SIGSEGV"),
        ("exit", "ProcessEnded: the process of the handler exited with 3 before the handler had ended"),
        ("kill", "ProcessEnded: the process of the handler was killed by SIGKILL"),
    ],
)
async def test_a_process_that_dies_takes_only_its_task_along(bench: Bench, how: str, message: str) -> None:
    assert (await bench.report(elsewhere.dies, how)).error_message == message
    assert (await bench.report(elsewhere.dies, "not at all")).output == b"null"


async def test_standard_streams_are_the_handlers_to_use(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    assert (await bench.report(elsewhere.uses_streams)).output == b'[""]'
    assert capfd.readouterr() == ("", "printed\nwritten\n")


async def test_log_records_come_home(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await bench.report(elsewhere.logs)
    found, caught = (record for record in caplog.records if record.name in ("pgflow.task", "mine"))
    assert found.getMessage() == f"[elsewhere.step[0] {RUN_ID}] found 3"
    assert (found.levelname, found.__dict__["pages"], found.__dict__["odd"]) == ("INFO", 3, [repr(1j)])
    assert (found.__dict__["run_id"], found.process) == (str(RUN_ID), caught.process)
    assert found.process != os.getpid()
    assert caught.getMessage() == "caught"
    assert "ValueError: inside" in (caught.exc_text or "")


# The end


@pytest.mark.feature("A3.6")
@pytest.mark.parametrize("handler", [elsewhere.hangs, elsewhere.holds_the_lock], ids=["waits", "holds the lock"])
async def test_a_timeout_kills_the_process_with_all_that_it_started(
    own_bench: Bench, tmp_path: Path, handler: Callable[..., Any]
) -> None:
    report = await own_bench.report(handler, str(tmp_path), timeout=3)
    assert report.error_message == "Task timed out after 3s"
    for process_id in (tmp_path / "pids").read_text().split():
        await eventually(partial(lambda pid: not is_alive(pid), int(process_id)), "the process is dead")


async def test_a_timeout_costs_only_its_own_task(tmp_path: Path) -> None:
    flow = flow_of(elsewhere.hangs)
    flow.step(elsewhere.burn, slug="other", executor="process")
    executor = executor_of(flow, processes=2)
    hanging = executor.execute(task_of(flow, str(tmp_path), steps=["step"], timeout=3))
    others = [executor.execute(task_of(flow, 1000, steps=["other"])) for _ in range(20)]
    report, *reports = await asyncio.gather(hanging, *others)
    assert report.error_message == "Task timed out after 3s"
    assert all(report.output for report in reports)
    await executor.close()


async def test_a_task_that_waits_for_a_process_can_be_cancelled(own_bench: Bench, tmp_path: Path) -> None:
    first = asyncio.create_task(own_bench.report(elsewhere.hangs, str(tmp_path)))
    await eventually((tmp_path / "pids").exists, "the handler runs")
    assert (await own_bench.report(elsewhere.hangs, str(tmp_path), timeout=0.01)).error_message == (
        "Task timed out after 0.01s"
    )
    first.cancel()
    await asyncio.wait({first})


async def test_cancelling_before_the_process_is_there_leaves_none(own_bench: Bench) -> None:
    for _ in range(20):
        running = asyncio.create_task(own_bench.report(elsewhere.process_id))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})


async def test_handlers_see_that_the_worker_stops(tmp_path: Path) -> None:
    flow = flow_of(elsewhere.waits_for_the_stop)
    executor = executor_of(flow)
    running = asyncio.create_task(executor.execute(task_of(flow, str(tmp_path))))
    await eventually((tmp_path / "entered").exists, "the handler runs")
    executor.announce_stop()
    assert (await running).output == b"[false,true]"
    assert (await executor.execute(task_of(flow, str(tmp_path)))).output is not None
    await executor.close()


async def test_a_process_is_replaced_after_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgflow.worker.processes.TASKS_PER_PROCESS", 2)
    flow = flow_of(elsewhere.counts)
    executor = executor_of(flow, processes=1)
    assert [(await executor.execute(task_of(flow))).output for _ in range(5)] == [b"1", b"2", b"1", b"2", b"1"]
    await executor.close()


async def test_threads_that_a_handler_leaves_do_not_keep_its_process(own_bench: Bench) -> None:
    report = await own_bench.report(elsewhere.leaves_a_thread)
    process_id = int(report.output or b"")
    await own_bench.close()
    await eventually(lambda: not is_alive(process_id), "the process has ended")


def test_processes_end_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import asyncio
from worker import handlers_elsewhere as elsewhere
from worker.test_processes import flow_of
from worker.executing import executor_of, task_of
flow = flow_of(elsewhere.hangs)
asyncio.run(executor_of(flow).execute(task_of(flow, {str(tmp_path)!r})))
"""
    tests = str(Path(__file__).parent.parent)
    worker = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": tests})
    asyncio.run(eventually((tmp_path / "pids").exists, "the handler runs"))
    worker.kill()
    worker.wait()
    child, grandchild = map(int, (tmp_path / "pids").read_text().split())
    asyncio.run(eventually(lambda: not is_alive(child), "its process has noticed"))
    psutil.Process(grandchild).kill()


# Programs


def test_a_program_has_its_own_handlers_in_processes(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("""
import asyncio, os, sys
from uuid import UUID
from pgflow import Flow, PgFlow
from pgflow.types import StartedTask
from pgflow.worker.executor import Executor

flow = Flow("program")

@flow.step(executor="process")
def step(value: int) -> list:
    return [__name__, os.getpid() != PARENT if "PARENT" in globals() else True, value + 1]

async def main():
    executor = Executor({"program": flow}, PgFlow("postgresql://nobody@127.0.0.1:1/nowhere"), asyncio.Event())
    task = StartedTask("program", UUID(int=1), "step", 0, {}, 1, 1, 1, 3, 60)
    print((await executor.execute(task)).output.decode())
    await executor.close()

if __name__ == "__main__":
    asyncio.run(main())
""")
    for command in ([str(program)], ["-m", "program"]):
        ended = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True)
        assert (ended.stdout, ended.stderr) == ('["__mp_main__",true,2]\n', "")
    piped = subprocess.run([sys.executable], input=program.read_text(), capture_output=True, text=True)
    assert "other processes can't import what was typed in or piped; put the handler into a file" in piped.stderr


# Definitions


def problems_of(handler: Callable[..., Any]) -> list[str]:
    with pytest.raises(DefinitionError) as refused:
        executor_of(flow_of(handler))
    return list(refused.value.problems)


@pytest.mark.parametrize(
    "handler",
    [lambda value: value, partial(elsewhere.echo, value=1)],
    ids=["lambda", "partial"],
)
def test_a_handler_without_a_name_is_refused_where_it_is_declared(handler: Callable[..., Any]) -> None:
    assert problems_of(handler) == [
        "step 'step': executor='process' needs a function at the top level of a module,"
        " which another process can import"
    ]


def test_a_handler_whose_name_stands_for_something_else_is_refused_when_the_worker_starts() -> None:
    inner = elsewhere.doubled.__wrapped__  # type: ignore[attr-defined]
    assert problems_of(inner) == [
        "step 'step' of flow 'elsewhere': worker.handlers_elsewhere:doubled is something else;"
        " give the function a name of its own in its module"
    ]
    assert "worker.handlers_elsewhere:Counter.bound is something else" in problems_of(elsewhere.Counter().bound)[0]


@pytest.mark.parametrize(("handler", "result"), [(elsewhere.doubled, b"12"), (elsewhere.Counter.negated, b"-3")])
async def test_whatever_has_a_name_in_a_module_will_do(
    bench: Bench, handler: Callable[..., Any], result: bytes
) -> None:
    assert (await bench.report(handler, 3)).output == result


@pytest.mark.parametrize("processes", [0, -1])
def test_there_must_be_a_process(processes: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        executor_of(flow_of(elsewhere.echo), processes=processes)
