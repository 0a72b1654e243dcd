"""Who waits for a run that he has just started leaves the database to the worker, if he can have missed nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from client.flows import greeting
from client.listening import (
    DEADLINE_SECONDS,
    count_calls,
    eventually,
    listening,
    sessions,
    subscribed,
    terminate,
    trust_notifications,
)
from client.workbench import Workbench, reported
from pgflow import PgFlow, calls, sync
from pgflow.listening import listener, memory, watcher
from pgflow.listening.watcher import digest
from pgflow.serialize import encode


@pytest.fixture
async def app(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PgFlow]:
    """A client that listens, sees what is notified, and nothing else."""
    trust_notifications(monkeypatch)
    async with PgFlow(shared_url) as app:
        await app.ensure_compiled(greeting)
        async with subscribed(app.database.watcher.listener):
            yield app


def times_heard(app: PgFlow, run: Any) -> int:
    return app.database.watcher._memory._heard[digest(run.run_id)]


async def heard(app: PgFlow, run: Any, times: int) -> None:
    await eventually(lambda: times_heard(app, run) >= times, f"heard of the run {times} times")


async def ends(run: Any) -> Any:
    """Wait for a run that has ended."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await run.wait()


async def test_a_run_is_looked_at_when_more_is_heard_than_its_start(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await app.start_flow(greeting, 1)
    statements = count_calls(app, monkeypatch)
    task = asyncio.create_task(run.wait())
    await heard(app, run, 1)
    assert statements == []
    workbench.complete(1)
    await heard(app, run, 2)
    await eventually(lambda: len(statements) == 1, "it looks")
    workbench.complete(2)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await task).output == {"greet": 2}
    assert len(statements) == 2


async def test_its_start_may_be_heard_before_somebody_waits(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await app.start_flow(greeting, 1)
    await heard(app, run, 1)
    statements = count_calls(app, monkeypatch)
    task = asyncio.create_task(run.wait())
    workbench.echo()
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await task).status == "completed"
    assert len(statements) <= 2  # the end of each step is told


async def test_a_run_that_has_ended_before_somebody_waits_is_looked_at(app: PgFlow, workbench: Workbench) -> None:
    run = await app.start_flow(greeting, 1)
    workbench.fail("no paper")
    await heard(app, run, 2)
    assert (await ends(run)).status == "failed"


async def test_who_has_given_up_waiting_can_wait_again(app: PgFlow, workbench: Workbench) -> None:
    run = await app.start_flow(greeting, 1)
    for _ in range(2):
        task = asyncio.create_task(run.wait())
        await heard(app, run, 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    workbench.echo()
    assert (await ends(run)).status == "completed"


async def test_a_retried_run_is_waited_for(app: PgFlow, workbench: Workbench) -> None:
    run = await app.start_flow(greeting, 1)
    workbench.fail("no paper")
    assert (await ends(run)).status == "failed"
    task = asyncio.create_task((await run.retry()).wait())
    workbench.echo()
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await task).status == "completed"


async def test_the_client_that_starts_and_waits_may_work_too(app: PgFlow, workbench: Workbench) -> None:
    run = await app.start_flow(greeting, 1)
    task = asyncio.create_task(run.wait())
    for _ in greeting.steps:
        [found] = await app.database.run(calls.fetch_tasks("greeting", workbench.worker_id, 1))
        await app.database.run(calls.complete_tasks([reported(found, output=encode(1))]))
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await task).status == "completed"


async def test_many_that_are_started_at_once_are_waited_for(app: PgFlow, workbench: Workbench) -> None:
    runs = await app.start_flows(greeting, range(801))  # more than a notification names
    tasks = [asyncio.create_task(run.wait()) for run in runs]
    await asyncio.sleep(0)
    await asyncio.to_thread(work_all, workbench)
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert {run.status for run in await asyncio.gather(*tasks)} == {"completed"}


def work_all(workbench: Workbench) -> None:
    while tasks := workbench.fetch(limit=1000):
        workbench.call(calls.complete_tasks([reported(task, output=b"1") for task in tasks]))


async def test_a_run_with_a_number_of_another_that_was_heard_before_is_waited_for(
    app: PgFlow, workbench: Workbench
) -> None:
    """What notifications call runs is short enough to be that of two runs."""
    run_id = "00000000-0000-0000-0000-000000000001"
    workbench.connection.execute("select pg_notify('pgflow_runs', %s)", (digest(UUID(run_id)),))
    run = await app.start_flow(greeting, 1, run_id=run_id)
    await heard(app, run, 2)
    task = asyncio.create_task(run.wait())
    workbench.echo()
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await task).status == "completed"


# Where something may have been missed


async def test_what_ended_while_listening_was_interrupted_is_seen(
    app: PgFlow, workbench: Workbench, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await app.start_flow(greeting, 1)
    monkeypatch.setattr(listener, "_FIRST_BACKOFF", 0.5)
    before = sessions(shared_url)
    terminate(shared_url, *before)
    workbench.echo()
    await eventually(lambda: sessions(shared_url) not in ([], before), "there is another session")
    await listening(app)
    assert (await ends(run)).status == "completed"


async def test_what_was_started_before_listening_settled_is_looked_at_at_once(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.database.watcher.listener, "_settled", set())
    run = await app.start_flow(greeting, 1)
    workbench.echo()
    monkeypatch.undo()
    trust_notifications(monkeypatch)
    assert (await ends(run)).status == "completed"


async def test_a_run_that_was_started_on_a_connection_of_the_caller_is_looked_at_at_once(
    app: PgFlow, workbench: Workbench, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await psycopg.AsyncConnection.connect(shared_url) as connection:
        run = await app.start_flow(greeting, 1, conn=connection)
        await connection.commit()
        await heard(app, run, 1)
        statements = count_calls(app, monkeypatch)
        task = asyncio.create_task(run.wait())
        await eventually(lambda: len(statements) == 1, "it looks")
        workbench.echo()
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert (await task).status == "completed"


async def test_a_run_that_was_there_is_looked_at_at_once(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.start_flow(greeting, 1, key="order 7")
    run = await app.start_flow(greeting, 1, key="order 7")
    statements = count_calls(app, monkeypatch)
    task = asyncio.create_task(run.wait())
    await eventually(lambda: len(statements) == 1, "it looks")
    workbench.echo()
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert (await task).status == "completed"


async def test_what_was_forgotten_because_more_was_heard_is_looked_at_at_once(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_LARGEST_NUMBER_OF_RUNS", 2)
    run = await app.start_flow(greeting, 1)
    workbench.echo()
    others = await app.start_flows(greeting, [2, 3])
    await heard(app, others[0], 1)
    workbench.connection.execute("select pg_notify('pgflow_runs', 'more')")
    await eventually(lambda: not times_heard(app, run), "it is forgotten")
    assert (await ends(run)).status == "completed"


async def test_a_notification_that_was_lost_is_made_up_for_soon(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "FIRST_LOOK_SECONDS", 0.05)
    run = await app.start_flow(greeting, 1)
    workbench.connection.execute("delete from pgflow.listeners")
    workbench.echo()
    assert (await ends(run)).status == "completed"
    assert times_heard(app, run) == 1


async def test_a_registration_that_has_run_out_is_not_relied_upon(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust_notifications(monkeypatch)
    monkeypatch.setattr(listener, "REGISTRATION_SECONDS", 0.05)
    monkeypatch.setattr(listener, "_RENEWAL_SECONDS", 0.2)
    async with PgFlow(shared_url) as app:
        await app.open()
        found = app.database.watcher
        payloads: list[str] = []
        with found.listener.subscribe("runs", payloads.append):
            await eventually(lambda: found.mark() is not None, "it listens")
            mark = found.mark()
            await eventually(lambda: found.mark() is None, "the registration has run out")
            told = len(payloads)
            await eventually(lambda: found.mark() not in (None, mark), "it is registered again, and marks are others")
            assert payloads[told : told + 1] == [""]
            assert len(sessions(shared_url)) == 1


async def test_threads_leave_the_database_to_the_worker_too(
    shared_url: str, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust_notifications(monkeypatch)
    with sync.PgFlow(shared_url) as app:
        await asyncio.to_thread(app.ensure_compiled, greeting)
        first = asyncio.create_task(asyncio.to_thread(app.start_flow_sync, greeting, 1, timeout=DEADLINE_SECONDS))
        await eventually(lambda: app.database.watcher.mark() is not None, "it listens")
        run = await asyncio.to_thread(app.start_flow, greeting, 2)
        assert app.database.watcher._watcher._memory.is_as_started(digest(run.run_id), run._mark)
        second = asyncio.create_task(asyncio.to_thread(run.result, DEADLINE_SECONDS))
        await asyncio.to_thread(workbench.echo)
        assert ((await first).output, await second) == ({"greet": 1}, {"greet": 2})
