"""What happens in a run, told in order, once, and completely."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from client.flows import each, greeting
from client.listening import DEADLINE_SECONDS, listening, sessions, terminate, trust_notifications
from client.twins import in_thread
from client.workbench import Workbench
from pgflow import (
    Flow,
    PgFlow,
    RunCompletedEvent,
    RunFailedEvent,
    RunNotFound,
    RunStartedEvent,
    StepCompletedEvent,
    StepFailedEvent,
    StepSkippedEvent,
    StepStartedEvent,
    WaitTimeout,
)
from pgflow.events import Event

GREETED = ["run:started", "step:started name", "step:completed name", "step:started greet", "step:completed greet"]


async def told(run: Any, timeout: float = DEADLINE_SECONDS) -> list[Event]:
    """Return all events of a run of either client, when it has ended."""
    return [event async for event in told_one_by_one(run, timeout)]


async def told_one_by_one(run: Any, timeout: float = DEADLINE_SECONDS) -> AsyncIterator[Event]:
    events = getattr(run, "subject", run).events(timeout)
    if hasattr(events, "__anext__"):
        async for event in events:
            yield event
    else:
        while (event := await in_thread(next)(events, None)) is not None:
            yield event


def named(events: list[Event]) -> list[str]:
    return [" ".join(filter(None, (event.event_type, getattr(event, "step_slug", "")))) for event in events]


@pytest.mark.feature("C4.10")
async def test_a_run_is_told_from_its_start_to_its_end(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, "Ada")
    task = asyncio.create_task(told(run))
    workbench.complete("Ada")
    workbench.complete("Hello")
    events = await task
    assert named(events) == [*GREETED, "run:completed"]
    started, first, completed, *_, ended = events
    ids = run.run_id, "greeting"
    assert started == RunStartedEvent(*ids, "Ada", 2, run.started_at)
    assert first == StepStartedEvent(*ids, "name", 1, first.started_at)
    assert completed == StepCompletedEvent(*ids, "name", "Ada", completed.completed_at)
    assert ended == RunCompletedEvent(*ids, {"greet": "Hello"}, ended.completed_at)
    assert started.started_at <= first.started_at <= completed.completed_at <= ended.completed_at


async def test_who_comes_late_is_told_everything(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    workbench.echo()
    assert named(await told(run)) == [*GREETED, "run:completed"]
    assert named(await told(run, timeout=0)) == [*GREETED, "run:completed"]


async def test_a_failed_run_ends_with_its_error(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    workbench.fail("no paper")
    *_, failed, ended = await told(run)
    assert failed == StepFailedEvent(run.run_id, "greeting", "name", "no paper", failed.failed_at)
    assert ended == RunFailedEvent(run.run_id, "greeting", "no paper", failed.failed_at)


async def test_a_skipped_step_is_told_with_its_reason(client: Any, workbench: Workbench) -> None:
    await client.ensure_compiled(choosy)
    run = await client.start_flow(choosy, {"x": 2})
    Workbench(workbench.connection, "choosy").complete(1)
    events = await told(run)
    assert named(events) == [
        "run:started", "step:started first", "step:completed first", "step:skipped second", "run:completed"
    ]  # fmt: skip
    assert events[3] == StepSkippedEvent(run.run_id, "choosy", "second", "condition_unmet", None, events[3].skipped_at)


choosy = Flow("choosy")


@choosy.step
def first(value: Any) -> Any:
    return value


@choosy.step(if_={"first": 2})
def second(first: Any) -> Any:
    return first


async def test_a_step_without_tasks_only_completes(client: Any) -> None:
    await client.ensure_compiled(each)
    run = await client.start_flow(each, [])
    assert named(await told(run)) == ["run:started", "step:completed double", "run:completed"]


async def test_two_are_told_the_same(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    tasks = [asyncio.create_task(told(run)) for _ in range(2)]
    workbench.echo()
    assert [named(await task) for task in tasks] == [[*GREETED, "run:completed"]] * 2


async def test_events_come_when_they_happen(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    seen = []
    async for event in told_one_by_one(run):
        seen.append(event)
        if named([event]) in (["step:started name"], ["step:started greet"]):
            workbench.complete(1)
    assert named(seen) == [*GREETED, "run:completed"]


@pytest.mark.parametrize("timeout", [0, 0.05, -1])
async def test_a_timeout_ends_the_events(greeter: Any, timeout: float) -> None:
    run = await greeter.start_flow(greeting, 1)
    events = told_one_by_one(run, timeout)
    assert named([await anext(events), await anext(events)]) == GREETED[:2]
    with pytest.raises(WaitTimeout):
        await anext(events)


async def test_a_timeout_that_is_no_number_is_refused(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, 1)
    with pytest.raises(ValueError, match="timeout must be a number"):
        await told(run, float("nan"))


async def test_a_run_that_is_deleted_is_not_found(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    events = told_one_by_one(run)
    assert named([await anext(events), await anext(events)]) == GREETED[:2]
    workbench.connection.execute("select pgflow.delete_flow_and_data('greeting')")
    with pytest.raises(RunNotFound):
        await anext(events)


async def test_notifications_are_enough(shared_url: str, workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    trust_notifications(monkeypatch)
    async with PgFlow(shared_url) as app:
        await app.ensure_compiled(greeting)
        run = await app.start_flow(greeting, 1)
        task = asyncio.create_task(told(run))
        await listening(app)
        workbench.complete(1)
        workbench.complete(2)
        assert named(await task) == [*GREETED, "run:completed"]


@pytest.mark.feature("C4.10")
@pytest.mark.parametrize("listen", [True, False])
async def test_nothing_is_missed_in_a_storm(
    shared_url: str, workbench: Workbench, monkeypatch: pytest.MonkeyPatch, listen: bool
) -> None:
    """Forty runs are worked in random order, while the connections are cut."""
    if listen:
        trust_notifications(monkeypatch)
    async with PgFlow(shared_url, listen=listen) as app:
        await app.ensure_compiled(greeting)
        runs = await app.start_flows(greeting, list(range(40)))
        tasks = [asyncio.create_task(told(run)) for run in runs]
        await asyncio.to_thread(work_in_random_order, workbench, shared_url)
        for task in tasks:
            assert named(await task) == [*GREETED, "run:completed"]


def work_in_random_order(workbench: Workbench, url: str) -> None:
    chosen = random.Random(5)
    while tasks := workbench.fetch(limit=chosen.randint(1, 7)):
        chosen.shuffle(tasks)
        workbench.finish(tasks)
        if chosen.random() < 0.2:
            terminate(url, *sessions(url))


async def test_events_of_many_runs_use_one_connection(shared_url: str, workbench: Workbench) -> None:
    async with PgFlow(shared_url) as app:
        await app.ensure_compiled(greeting)
        runs = await app.start_flows(greeting, list(range(30)))
        tasks = [asyncio.create_task(told(run)) for run in runs]
        await listening(app)
        with psycopg.connect(shared_url) as connection:
            (count,) = connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database() and pid not in (%s, %s)",
                (connection.info.backend_pid, workbench.connection.info.backend_pid),
            ).fetchone() or (0,)
        assert count <= 1 + 4  # the pool
        await asyncio.to_thread(workbench.echo)
        assert {named(events)[-1] for events in await asyncio.gather(*tasks)} == {"run:completed"}


async def test_who_stops_listening_to_events_leaves_nothing_behind(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, 1)
    async for event in told_one_by_one(run):
        assert event.event_type == "run:started"
        break
