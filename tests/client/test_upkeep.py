"""Pruning, recovering, and starting later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from client.flows import each, greeting
from client.workbench import Workbench
from pgflow import InvalidInput, PruneResult, RunNotFound

AGE = """
update pgflow.runs
set started_at = started_at - %(age)s, completed_at = completed_at - %(age)s, failed_at = failed_at - %(age)s
"""


def age_runs(connection: psycopg.Connection[Any], age: timedelta) -> None:
    connection.execute(AGE, {"age": age})


@pytest.mark.feature("A2.12", "A2.1")
async def test_old_runs_that_have_ended_are_pruned(
    greeter: Any, workbench: Workbench, shared_connection: psycopg.Connection[Any]
) -> None:
    ended = await greeter.start_flow(greeting, 1)
    workbench.echo()
    going_on = await greeter.start_flow(greeting, 2)
    age_runs(shared_connection, timedelta(days=40))
    recent = await greeter.start_flow(greeting, 3)
    assert await greeter.prune(timedelta(days=41)) == PruneResult(0, 0, 0, 0, 0)
    pruned = await greeter.prune(timedelta(days=30))
    assert (pruned.deleted_runs, pruned.deleted_step_states, pruned.deleted_step_tasks) == (1, 2, 2)
    with pytest.raises(RunNotFound):
        await greeter.get_run(ended.run_id)
    for run in (going_on, recent):
        assert (await greeter.get_run(run.run_id)).status == "started"


@pytest.mark.feature("A2.12")
async def test_flows_that_are_not_named_are_left_alone(client: Any, shared_connection: psycopg.Connection[Any]) -> None:
    await client.ensure_compiled(each)
    await client.start_flow(each, [])
    age_runs(shared_connection, timedelta(days=2))
    assert (await client.prune(timedelta(days=1), "greeting")).deleted_runs == 0
    assert (await client.prune(timedelta(days=1), [])).deleted_runs == 0
    assert (await client.prune(24 * 3600, [each, "greeting"])).deleted_runs == 1


async def test_more_than_a_batch_is_pruned_to_the_end(client: Any, shared_connection: psycopg.Connection[Any]) -> None:
    await client.ensure_compiled(each)
    await client.start_flows(each, [[]] * 25)
    age_runs(shared_connection, timedelta(days=2))
    assert (await client.prune(timedelta(days=1), batch_size=10)).deleted_runs == 25
    assert await client.count_runs() == 0


@pytest.mark.feature("A2.12")
async def test_what_would_be_pruned_is_counted_first(
    greeter: Any, workbench: Workbench, shared_connection: psycopg.Connection[Any]
) -> None:
    await greeter.start_flow(greeting, 1)
    workbench.echo()
    age_runs(shared_connection, timedelta(days=2))
    for flows in (None, "greeting", greeting):
        counted = await greeter.prune(timedelta(days=1), flows, dry_run=True)
        assert (counted.deleted_runs, counted.deleted_step_states, counted.deleted_step_tasks) == (1, 2, 2)
    assert (await greeter.prune(timedelta(days=1), "other", dry_run=True)).deleted_runs == 0
    assert await greeter.count_runs() == 1
    assert await greeter.prune(timedelta(days=1), "greeting") == counted


@pytest.mark.parametrize("age", [-1, timedelta(seconds=-1), "1 day", None, float("nan"), float("inf"), timedelta.max])
async def test_an_age_that_cannot_be_is_refused(client: Any, age: Any) -> None:
    with pytest.raises(InvalidInput, match="older_than"):
        await client.prune(age)


@pytest.mark.parametrize("size", [0, -5, "x", None])
async def test_a_batch_of_nothing_is_refused(client: Any, size: Any) -> None:
    with pytest.raises(InvalidInput, match="limit must be"):
        await client.prune(1, batch_size=size)


@pytest.mark.feature("A2.14")
async def test_tasks_that_have_stalled_are_put_back(
    greeter: Any, workbench: Workbench, shared_connection: psycopg.Connection[Any]
) -> None:
    run = await greeter.start_flow(greeting, 1)
    assert len(workbench.fetch()) == 1
    shared_connection.execute("""
        update pgflow.step_tasks
        set queued_at = queued_at - interval '100 s', started_at = started_at - interval '100 s'
    """)
    assert await greeter.recover_stalled(60) == 0
    assert await greeter.recover_stalled() == 1
    assert await greeter.recover_stalled(timedelta(0)) == 0
    (task,) = await greeter.list_tasks(run.run_id)
    assert (task.status, task.requeued_count) == ("queued", 1)


@pytest.mark.parametrize("buffer", [-1, float("nan"), float("inf"), "30", True])
async def test_a_buffer_that_cannot_be_is_refused(client: Any, buffer: Any) -> None:
    with pytest.raises(InvalidInput, match="a delay"):
        await client.recover_stalled(buffer)


@pytest.mark.feature("A2.5", "A1.13")
@pytest.mark.parametrize("delay", [100, 99.5, timedelta(seconds=100)])
async def test_a_run_starts_at_once_and_its_tasks_later(
    greeter: Any, workbench: Workbench, shared_connection: psycopg.Connection[Any], delay: Any
) -> None:
    runs = [
        await greeter.start_flow(greeting, 1, delay=delay),
        *await greeter.start_flows(greeting, [2, 3], delay=delay),
    ]
    assert [run.status for run in runs] == ["started"] * 3
    assert workbench.fetch() == []
    waiting = shared_connection.execute(
        "select count(*) from pgmq.q_greeting where vt between now() + interval '90 s' and now() + interval '101 s'"
    ).fetchone()
    assert waiting == (3,)


@pytest.mark.parametrize("delay", [None, 0, 0.0, timedelta(0)])
async def test_no_delay_is_at_once(greeter: Any, workbench: Workbench, delay: Any) -> None:
    await greeter.start_flow(greeting, 1, delay=delay)
    await greeter.start_flows(greeting, [1], delay=delay)
    assert len(workbench.fetch()) == 2


async def test_a_delayed_run_can_have_an_id_of_ones_own(greeter: Any) -> None:
    run_id = "00000000-0000-0000-0000-000000000017"
    assert str((await greeter.start_flow(greeting, 1, run_id=run_id, delay=5)).run_id) == run_id
    with pytest.raises(InvalidInput, match=f"run id {run_id} is already in use"):
        await greeter.start_flow(greeting, 1, run_id=run_id, delay=5)


@pytest.mark.parametrize("delay", [-1, -0.001, float("nan"), float("inf"), 2**31, "5", True, timedelta(seconds=-1)])
async def test_a_delay_that_cannot_be_is_refused(greeter: Any, delay: Any) -> None:
    for call, value in ((greeter.start_flow, 1), (greeter.start_flows, [1])):
        with pytest.raises(InvalidInput, match="a delay"):
            await call(greeting, value, delay=delay)
    assert await greeter.count_runs() == 0


@pytest.mark.parametrize("run_id", ["nonsense", "", 5, "\0"])
async def test_an_id_that_cannot_be_is_refused(greeter: Any, run_id: Any) -> None:
    with pytest.raises(InvalidInput, match="a run id is a UUID, not"):
        await greeter.start_flow(greeting, 1, run_id=run_id)
