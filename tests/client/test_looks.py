"""What who waits reads: one statement that gives the run when it has ended, and nothing of it before."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest

from client.flows import each, greeting
from client.listening import DEADLINE_SECONDS, count_calls, listening, trust_notifications
from client.workbench import Workbench
from pgflow import PgFlow, RunNotFound
from pgflow.calls import Call


@pytest.fixture
async def app(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client with the flows of the tests that sees what is notified and nothing else."""
    trust_notifications(monkeypatch)
    async with PgFlow(shared_url) as app:
        await app.ensure_compiled(greeting)
        await app.ensure_compiled(each)
        yield app


async def wait_for(runs: list[Any]) -> list[asyncio.Task[Any]]:
    """Wait for runs, and return when the first looks at them are over."""
    tasks = [asyncio.create_task(run.wait(DEADLINE_SECONDS)) for run in runs]
    [database] = {run._database for run in runs}
    await listening_and_quiet(database)
    return tasks


async def listening_and_quiet(database: Any) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not database.watcher.listener.is_settled("runs") or not is_quiet(database.watcher):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def is_quiet(watcher: Any) -> bool:
    """Whether all waits have been looked at."""
    return len(watcher._agenda._times) == sum(map(len, watcher._waits.values()))


def of_runs(statements: list[str]) -> set[str]:
    return {statement.split("pgflow.")[1].split("(")[0] for statement in statements}


async def test_the_end_of_a_run_is_read_with_one_statement(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    [task] = await wait_for([await app.start_flow(greeting, 1)])
    statements = count_calls(app, monkeypatch)
    workbench.echo()
    run = await task
    assert (run.output, run.step("name").output) == ({"greet": 1}, 1)
    assert of_runs(statements) == {"get_runs_if_ended"}
    assert len(statements) <= 2  # the end of each step is told


async def test_a_few_runs_that_end_together_are_read_with_one_statement(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = await wait_for(await app.start_flows(each, [[number] for number in range(10)]))
    bench = Workbench(workbench.connection, "each")
    statements = count_calls(app, monkeypatch)
    bench.finish(bench.fetch(limit=10))
    assert [(await task).output for task in tasks] == [{"double": [number]} for number in range(10)]
    assert of_runs(statements) == {"get_runs_if_ended"}
    assert len(statements) == 1


async def test_a_run_that_cannot_be_read_is_told_to_who_waits_for_it_and_to_nobody_else(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = await app.start_flows(each, [[number] for number in range(3)])
    tasks = await wait_for(runs)
    run = app.database.run

    async def refusing(call: Call[Any]) -> Any:
        if runs[1].run_id in call.arguments[0]:
            raise psycopg.errors.ProgramLimitExceeded("too large")
        return await run(call)

    monkeypatch.setattr(app.database, "run", refusing)
    bench = Workbench(workbench.connection, "each")
    bench.finish(bench.fetch(limit=10))
    assert [(await tasks[number]).output for number in (0, 2)] == [{"double": [0]}, {"double": [2]}]
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="too large"):
        await tasks[1]


@pytest.mark.parametrize("count", [2, 30], ids=["few", "many"])
async def test_runs_that_are_deleted_are_told_from_those_that_end(
    app: PgFlow, workbench: Workbench, count: int
) -> None:
    runs = await app.start_flows(each, [[number] for number in range(count)])
    tasks = await wait_for(runs)
    deleted, kept = runs[0].run_id, runs[1].run_id
    bench = Workbench(workbench.connection, "each")
    with bench.connection.transaction():
        bench.connection.execute("delete from pgflow.step_tasks where run_id = %s", (deleted,))
        bench.connection.execute("delete from pgflow.step_states where run_id = %s", (deleted,))
        bench.connection.execute("delete from pgflow.runs where run_id = %s", (deleted,))
        bench.connection.execute("select pg_notify('pgflow_runs', '')")
    with pytest.raises(RunNotFound, match=str(deleted)):
        await tasks[0]
    bench.finish(bench.fetch(limit=count))
    ended = await asyncio.gather(*tasks[1:])
    assert (ended[0].run_id, {run.status for run in ended}) == (kept, {"completed"})


async def test_a_wait_that_begins_after_a_retry_is_not_ended_by_what_was_read_before(
    app: PgFlow, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await app.start_flow(greeting, 1)
    [first] = await wait_for([run])
    answered, go_on, look = asyncio.Event(), asyncio.Event(), app.database.run

    async def slow(call: Call[Any]) -> Any:
        answer = await look(call)
        if any(isinstance(argument, list) for argument in call.arguments):
            answered.set()
            await go_on.wait()
        return answer

    monkeypatch.setattr(app.database, "run", slow)
    workbench.fail("no paper")
    await answered.wait()  # with "failed"
    retry(workbench, run.run_id)
    second = asyncio.create_task((await app.get_run(run.run_id)).wait(DEADLINE_SECONDS))
    await asyncio.sleep(0)
    go_on.set()
    assert (await first).status == "failed"
    workbench.echo()
    assert (await second).status == "completed"


def retry(workbench: Workbench, run_id: UUID) -> None:
    workbench.connection.execute("select pgflow.retry_runs(array[%s::uuid])", (run_id,))


async def test_a_run_that_fails_and_is_retried_between_two_looks_is_waited_for(
    app: PgFlow, workbench: Workbench
) -> None:
    run = await app.start_flow(greeting, 1)
    [task] = await wait_for([run])
    with workbench.connection.transaction():
        workbench.fail("no paper")
        retry(workbench, run.run_id)
    workbench.echo()
    assert (await task).status == "completed"
    await listening(app)
