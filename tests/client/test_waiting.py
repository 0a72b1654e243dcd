"""Waiting for runs, and looking at them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from client.flows import each, greeting
from client.twins import Awaitable
from client.workbench import Workbench, reported
from pgflow import ConnectionLost, RunFailed, RunNotFound, RunStatus, StepNotFound, StepStatus, WaitTimeout, calls
from pgflow.listening import threaded, watcher


async def test_a_result_is_the_outputs_of_the_leaf_steps(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, "Ada")
    workbench.complete("Ada")
    workbench.complete("Hello, Ada")
    assert await run.result(timeout=5) == {"greet": "Hello, Ada"}
    assert (run.status, run.output) == (RunStatus.COMPLETED, {"greet": "Hello, Ada"})


@pytest.mark.feature("C4.9")
async def test_who_waits_sees_the_run_end(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    waiting = asyncio.create_task(run.wait(timeout=10))
    workbench.complete(1)
    assert not waiting.done()
    workbench.complete(2)
    assert (await waiting).status == RunStatus.COMPLETED
    assert run.completed_at >= run.started_at


@pytest.mark.feature("C4.9")
async def test_wait_returns_a_failed_run(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    workbench.fail("no paper")
    waited = await run.wait(timeout=5)
    assert (waited.status, waited.output, waited.step("name").error_message) == (RunStatus.FAILED, None, "no paper")


async def test_the_result_of_a_failed_run_is_an_error_with_step_and_message(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    workbench.fail("no paper")
    with pytest.raises(RunFailed) as raised:
        await run.result(timeout=5)
    error = raised.value
    assert (error.step_slug, error.error_message, error.run.status) == ("name", "no paper", RunStatus.FAILED)
    assert str(error) == f"run {run.run_id} of flow 'greeting' failed in step 'name': no paper"


@pytest.mark.parametrize("timeout", [0, 0.02, -1])
async def test_waiting_ends_after_the_timeout(greeter: Any, timeout: float) -> None:
    run = await greeter.start_flow(greeting, 1)
    with pytest.raises(WaitTimeout, match=f"run {run.run_id} did not end within") as raised:
        await run.wait(timeout)
    assert (raised.value.run_id, raised.value.timeout) == (run.run_id, timeout)


async def test_a_run_goes_on_after_a_timeout(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    with pytest.raises(WaitTimeout):
        await run.result(timeout=0)
    workbench.echo()
    assert await run.result(timeout=5) == {"greet": 1}


async def test_the_result_of_an_ended_run_needs_no_time(client: Any) -> None:
    await client.ensure_compiled(each)
    run = await client.start_flow(each, [])
    assert await run.result(timeout=0) == {"double": []}


@pytest.mark.parametrize("timeout", [0, -1, 1e-9, 0.0001])
async def test_a_wait_that_takes_no_time_looks_once(greeter: Any, workbench: Workbench, timeout: float) -> None:
    run = await greeter.start_flow(greeting, 1)
    with pytest.raises(WaitTimeout):
        await run.wait(timeout)
    workbench.echo()
    assert (await run.wait(timeout)).status == RunStatus.COMPLETED


async def test_a_result_that_is_there_needs_no_time(greeter: Any, workbench: Workbench) -> None:
    completing = await greeter.start_flow(greeting, 1)
    workbench.echo()
    assert await completing.result(timeout=0) == {"greet": 1}
    failing = await greeter.start_flow(greeting, 1)
    workbench.fail("no paper")
    with pytest.raises(RunFailed, match="no paper"):
        await failing.result(timeout=0)


async def test_of_several_runs_those_that_have_ended_are_found_without_time(greeter: Any, workbench: Workbench) -> None:
    runs = [await greeter.start_flow(greeting, number) for number in range(30)]
    workbench.echo()
    last = await greeter.start_flow(greeting, 31)
    patient = asyncio.create_task(last.wait(timeout=10))
    *found, late = await asyncio.gather(*(run.wait(0) for run in (*runs, last)), return_exceptions=True)
    assert [run.output for run in found] == [{"greet": number} for number in range(30)]
    assert isinstance(late, WaitTimeout)
    workbench.echo()
    assert (await patient).output == {"greet": 31}


async def test_a_run_that_was_deleted_is_missed_without_time(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, 1)
    await greeter.delete_flow(greeting.slug)
    with pytest.raises(RunNotFound):
        await run.wait(0)


async def test_a_database_that_does_not_answer_keeps_nobody_who_has_no_time(
    greeter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await greeter.start_flow(greeting, 1)
    monkeypatch.setattr(watcher, "LATEST_FIRST_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(threaded, "LATEST_FIRST_LOOK_SECONDS", 0.1)
    async with unanswered(greeter, monkeypatch):
        with pytest.raises(WaitTimeout):
            await run.wait(0)


@asynccontextmanager
async def unanswered(client: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Let a client wait for each answer until the end, whichever of the twins it is."""
    answered = threading.Event()

    async def run(call: Any, conn: object | None = None) -> Any:
        await asyncio.to_thread(answered.wait)
        raise ConnectionLost("no answer")

    def run_blocking(call: Any, conn: object | None = None) -> Any:
        answered.wait()
        raise ConnectionLost("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(client.database, "run", run_blocking if isinstance(client, Awaitable) else run)
        try:
            yield
        finally:
            answered.set()


@pytest.mark.feature("A1.5", "A4.19")
async def test_start_flow_sync_returns_the_completed_run(greeter: Any, workbench: Workbench) -> None:
    waiting = asyncio.create_task(greeter.start_flow_sync(greeting, 7, timeout=10))
    await worked(workbench)
    run = await waiting
    assert (run.status, run.output, run.step("name").output) == (RunStatus.COMPLETED, {"greet": 7}, 7)


@pytest.mark.feature("A1.5")
async def test_start_flow_sync_raises_for_a_failed_run(greeter: Any, workbench: Workbench) -> None:
    waiting = asyncio.create_task(greeter.start_flow_sync("greeting", 7, timeout=10))
    await failed(workbench, "no paper")
    with pytest.raises(RunFailed, match="failed in step 'name': no paper"):
        await waiting


@pytest.mark.feature("A1.5")
async def test_start_flow_sync_gives_up_waiting_after_its_timeout(greeter: Any) -> None:
    with pytest.raises(WaitTimeout) as raised:
        await greeter.start_flow_sync(greeting, 7, timeout=0.02)
    assert (await greeter.get_run(raised.value.run_id)).status == RunStatus.STARTED


async def worked(workbench: Workbench) -> None:
    """Work the run that another task is about to start."""
    async with asyncio.timeout(10):
        while workbench.connection.execute("select from pgflow.runs where status = 'completed'").fetchone() is None:
            await asyncio.to_thread(workbench.echo)


async def failed(workbench: Workbench, error_message: str) -> None:
    """Fail the first task of the run that another task is about to start."""
    async with asyncio.timeout(10):
        while not (tasks := await asyncio.to_thread(workbench.fetch)):
            continue
    workbench.call(calls.fail_tasks([reported(tasks[0], error_message=error_message)]))


@pytest.mark.feature("A1.6", "A2.10")
async def test_a_run_is_found_by_its_id(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, {"a": 1})
    found = [
        await greeter.get_run(run.run_id),
        await greeter.get_run(str(run.run_id)),
        await greeter.get_run(run.run_id.hex),
    ]
    assert {(one.run_id, one.input["a"]) for one in found} == {(run.run_id, 1)}


@pytest.mark.feature("A1.6", "A2.10")
@pytest.mark.parametrize("verb", ["get_run", "get_run_with_states"])
@pytest.mark.parametrize(
    "run_id", [UUID(int=1), str(UUID(int=1)), "", "x", "1234", "läuft", "\ud800", "\0", "\u0661" * 31, None, 7]
)
async def test_a_run_that_is_not_there_is_named(client: Any, verb: str, run_id: Any) -> None:
    with pytest.raises(RunNotFound) as raised:
        await getattr(client, verb)(run_id)
    assert str(raised.value.run_id) == str(run_id)


@pytest.mark.feature("A1.7")
async def test_the_states_of_the_steps_are_in_the_order_of_definition(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    workbench.complete({"first": "Ada"})
    found = await greeter.get_run_with_states(run.run_id)
    assert [(step.step_slug, step.status) for step in found.steps] == [
        ("name", StepStatus.COMPLETED),
        ("greet", StepStatus.STARTED),
    ]
    assert found.step("name").output == {"first": "Ada"}


async def test_the_same_run_is_read_both_ways(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, {"wide": "日本語", "deep": [[[]]], "big": 10**30, "small": 1e-7})
    workbench.echo()
    assert (await greeter.get_run(run.run_id)).row == (await greeter.get_run_with_states(run.run_id)).row


async def test_a_step_has_times_that_know_their_zone(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    workbench.complete(1)
    step = (await run.refresh()).step("name")
    assert step.created_at <= step.started_at <= step.completed_at
    assert step.created_at.utcoffset() is not None
    assert isinstance(step.run_id, UUID)
    assert step.completed_at - step.created_at < timedelta(minutes=1)


async def test_refresh_reads_the_run_anew(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    workbench.echo()
    assert (run.status, run.steps) == (RunStatus.STARTED, ())
    assert (await run.refresh()).status == RunStatus.COMPLETED
    assert [step.step_slug for step in run.steps] == ["name", "greet"]


async def test_a_deleted_run_is_not_found_by_refresh(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    workbench.connection.execute("select pgflow.delete_flow_and_data('greeting')")
    with pytest.raises(RunNotFound, match=str(run.run_id)):
        await run.refresh()


async def test_who_waits_for_a_run_that_is_deleted_is_told(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    waiting = asyncio.create_task(run.result(timeout=10))
    workbench.connection.execute("select pgflow.delete_flow_and_data('greeting')")
    with pytest.raises(RunNotFound):
        await waiting


async def test_an_unknown_step_is_answered_with_the_known_ones(greeter: Any) -> None:
    run = await (await greeter.start_flow(greeting, 1)).refresh()
    with pytest.raises(StepNotFound, match="no step 'gret'; steps: name, greet"):
        run.step("gret")


async def test_progress_counts_the_tasks_of_a_step(client: Any, workbench: Workbench) -> None:
    await client.ensure_compiled(each)
    run = await client.start_flow(each, [1, 2, 3])
    bench = Workbench(workbench.connection, "each")
    bench.fetch(limit=2)
    progress = (await run.read_progress())["double"]
    assert (progress.queued, progress.started, progress.completed, progress.failed) == (1, 2, 0, 0)
    assert (progress.attempts, progress.error_message) == (1, None)
