"""Looking at many runs, and into one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from client.flows import each, greeting
from client.workbench import Workbench
from pgflow import InvalidInput, RunNotFound, StepNotFound, calls

PAST = datetime(2020, 1, 1, tzinfo=UTC)
UNKNOWN = UUID("00000000-0000-0000-0000-00000000dead")


@pytest.fixture
async def four_runs(client: Any, shared_connection: psycopg.Connection[Any]) -> list[Any]:
    """Runs of two flows, a minute apart, oldest first: completed, failed, started and started."""
    for flow in (greeting, each):
        await client.ensure_compiled(flow)
    workbench = Workbench(shared_connection)
    runs = [await client.start_flow(greeting, {"number": 0, "tags": ["a", "b"]})]
    workbench.echo()
    runs.append(await client.start_flow(greeting, {"number": 1, "tags": ["a"]}))
    workbench.fail("boom")
    runs += [await client.start_flow(greeting, {"number": 2}), await client.start_flow(each, [1])]
    for minutes, run in enumerate(runs):
        shared_connection.execute(
            "update pgflow.runs set started_at = %s where run_id = %s", (PAST + timedelta(minutes=minutes), run.run_id)
        )
    return runs


@pytest.mark.feature("B6.1")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [3, 2, 1, 0]),
        ({"flow": greeting}, [2, 1, 0]),
        ({"flow": "each"}, [3]),
        ({"flow": [greeting, "each", "each"]}, [3, 2, 1, 0]),
        ({"flow": "unknown"}, []),
        ({"flow": []}, []),
        ({"status": "started"}, [3, 2]),
        ({"status": ["completed", "failed"]}, [1, 0]),
        ({"status": []}, []),
        ({"since": PAST + timedelta(minutes=2)}, [3, 2]),
        ({"until": PAST + timedelta(minutes=2)}, [1, 0]),
        ({"since": PAST + timedelta(minutes=1), "until": PAST + timedelta(minutes=1)}, []),
        ({"input_contains": {"tags": ["a"]}}, [1, 0]),
        ({"input_contains": {"number": 1}}, [1]),
        ({"input_contains": [1]}, [3]),
        ({"input_contains": {}}, [2, 1, 0]),
        ({"flow": greeting, "status": "failed", "input_contains": {"tags": []}, "since": PAST}, [1]),
    ],
)
async def test_runs_are_listed_newest_first_and_filtered(
    client: Any, four_runs: list[Any], filters: dict[str, Any], expected: list[int]
) -> None:
    wanted = [four_runs[number].run_id for number in expected]
    assert [run.run_id for run in await client.list_runs(**filters)] == wanted
    assert [run.run_id async for run in client.all_runs(**filters)] == wanted
    assert await client.count_runs(**filters) == len(wanted)


async def test_a_listed_run_is_whole(client: Any, four_runs: list[Any]) -> None:
    (run,) = await client.list_runs(status="completed")
    assert run.output == {"greet": {"number": 0, "tags": ["a", "b"]}}
    assert (await run.refresh()).step("greet").status == "completed"


@pytest.mark.feature("B6.1")
async def test_pages_join_without_gap_or_overlap(greeter: Any) -> None:
    runs = [*await greeter.start_flows(greeting, range(7)), await greeter.start_flow(greeting, 7)]
    found, cursor = [], None
    while True:
        page = await greeter.list_runs(limit=3, after=cursor)
        found += page
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page) == 3
    assert found[0].run_id == runs[-1].run_id
    assert sorted(run.run_id for run in found) == sorted(run.run_id for run in runs)
    assert [run.run_id async for run in greeter.all_runs()] == [run.run_id for run in found]


@pytest.mark.feature("B6.2")
async def test_the_run_before_another_is_found(greeter: Any) -> None:
    first, second, _ = [await greeter.start_flow(greeting, number) for number in range(3)]
    page = await greeter.list_runs(flow=greeting, until=second.started_at, limit=1)
    assert [run.run_id for run in page] == [first.run_id]


async def test_a_full_last_page_says_that_it_is_the_last(greeter: Any) -> None:
    await greeter.start_flows(greeting, range(4))
    first = await greeter.list_runs(limit=2)
    last = await greeter.list_runs(limit=2, after=first.next_cursor)
    assert (len(first), len(last), last.next_cursor) == (2, 2, None)
    assert (await greeter.list_runs(limit=4)).next_cursor is None


async def test_runs_that_are_started_meanwhile_do_not_shift_pages(greeter: Any) -> None:
    old = await greeter.start_flows(greeting, range(4))
    page = await greeter.list_runs(limit=2)
    await greeter.start_flows(greeting, range(4))
    rest = await greeter.list_runs(limit=10, after=page.next_cursor)
    assert {run.run_id for run in [*page, *rest]} == {run.run_id for run in old}


async def test_a_page_goes_on_behind_a_run_that_was_deleted(
    greeter: Any, shared_connection: psycopg.Connection[Any]
) -> None:
    await greeter.start_flows(greeting, range(4))
    page = await greeter.list_runs(limit=2)
    for table in ("step_tasks", "step_states", "runs"):
        shared_connection.execute(f"delete from pgflow.{table} where run_id = %s", (page[-1].run_id,))
    assert len(await greeter.list_runs(after=page.next_cursor)) == 2


async def test_many_runs_are_iterated_in_pages(greeter: Any) -> None:
    await greeter.start_flows(greeting, range(450))
    assert sorted([run.input async for run in greeter.all_runs()]) == list(range(450))


@pytest.mark.parametrize("call", ["list_runs", "count_runs"])
@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"flow": 5}, "a flow slug is a text, not int"),
        ({"flow": [None]}, "a flow slug is a text, not NoneType"),
        ({"flow": "a\0"}, "NUL"),
        ({"status": "done"}, "no run has status 'done'; statuses: started, completed, failed"),
        ({"status": ["started", 5]}, "no run has status 5"),
        ({"since": datetime(2020, 1, 1)}, "since needs a time zone"),
        ({"until": "2020-01-01"}, "until is a datetime, not '2020-01-01'"),
        ({"input_contains": float("nan")}, "nan is no JSON number"),
        ({"input_contains": {"a": "\0"}}, "NUL"),
        ({"input_contains": object()}, "object can't be stored as JSON"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused(client: Any, call: str, filters: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        await getattr(client, call)(**filters)


@pytest.mark.parametrize("limit", [0, -1, 2**31 - 1, "5", 1.5, True, None])
async def test_a_limit_that_cannot_be_is_refused(client: Any, limit: Any) -> None:
    with pytest.raises(InvalidInput, match="limit must be an integer of at least 1, not"):
        await client.list_runs(limit=limit)


@pytest.mark.parametrize(
    "cursor", ["", "x", "2020-01-01T00:00:00+00:00", "2020-01-01T00:00:00+00:00/x", f"2020-01-01/{UNKNOWN}", "\0", 5]
)
async def test_a_cursor_that_cannot_be_is_refused(client: Any, cursor: Any) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        await client.list_runs(after=cursor)


@pytest.mark.feature("B6.3")
async def test_tasks_are_listed_in_order(client: Any, shared_connection: psycopg.Connection[Any]) -> None:
    await client.ensure_compiled(each)
    run = await client.start_flow(each, [5, 6, 7])
    workbench = Workbench(shared_connection, "each")
    workbench.complete(1)
    tasks = await client.list_tasks(run.run_id)
    assert [(task.step_slug, task.task_index, task.status, task.output) for task in tasks] == [
        ("double", index, "completed", 1) for index in range(3)
    ]
    first = tasks[0]
    assert (first.attempts_count, first.last_worker_id, first.run_id) == (1, workbench.worker_id, run.run_id)
    assert first.queued_at <= first.started_at <= first.completed_at
    assert await client.list_tasks(str(run.run_id), "double") == tasks


async def test_a_step_that_has_not_started_has_no_tasks(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, 1)
    assert [task.step_slug for task in await greeter.list_tasks(run.run_id)] == ["name"]
    assert await greeter.list_tasks(run.run_id, "greet") == []


@pytest.mark.feature("A2.9")
@pytest.mark.parametrize("value", [None, 0, False, "", [], {}, {"a": 1}, [None]])
async def test_the_input_of_a_run_is_read(greeter: Any, value: Any) -> None:
    run = await greeter.start_flow(greeting, value)
    read = await greeter.get_flow_input(run.run_id)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.feature("A2.11")
@pytest.mark.parametrize("value", [None, 0, False, "", [], {"a": 1}])
async def test_the_output_of_a_step_is_told_from_none_at_all(greeter: Any, workbench: Workbench, value: Any) -> None:
    run = await greeter.start_flow(greeting, value)
    nothing = "nothing yet"
    assert await greeter.get_step_output(run.run_id, "name", nothing) == nothing
    assert await greeter.get_step_output(run.run_id, "name") is None
    workbench.echo()
    assert await greeter.get_step_output(run.run_id, "name", nothing) == value


@pytest.mark.feature("A1.6")
@pytest.mark.parametrize("run_id", [UNKNOWN, str(UNKNOWN), "nonsense", "", "\0", 5, None])
async def test_a_run_that_is_not_there_is_not_found_by_any_call(greeter: Any, run_id: Any) -> None:
    for call, *more in (
        (greeter.get_run,),
        (greeter.get_run_with_states,),
        (greeter.get_flow_input,),
        (greeter.list_tasks,),
        (greeter.list_tasks, "name"),
        (greeter.get_step_output, "name"),
    ):
        with pytest.raises(RunNotFound):
            await call(run_id, *more)


@pytest.mark.parametrize("step", ["unknown", "", "Name", "ü"])
async def test_a_step_that_is_not_there_is_not_found(greeter: Any, step: str) -> None:
    run = await greeter.start_flow(greeting, 1)
    for call in (greeter.list_tasks, greeter.get_step_output):
        with pytest.raises(StepNotFound, match="steps: name, greet"):
            await call(run.run_id, step)


@pytest.mark.parametrize("step", ["a\0b", "\ud800", 5])
async def test_what_is_no_step_slug_is_refused(greeter: Any, step: Any) -> None:
    run = await greeter.start_flow(greeting, 1)
    for call in (greeter.list_tasks, greeter.get_step_output):
        with pytest.raises(InvalidInput, match="a step slug"):
            await call(run.run_id, step)


async def test_workers_are_listed(
    greeter: Any, workbench: Workbench, shared_connection: psycopg.Connection[Any]
) -> None:
    shared_connection.execute("delete from pgflow.workers where worker_id <> %s", (workbench.worker_id,))
    for filters in ({}, {"flow": greeting}, {"flow": ["greeting", "each"]}, {"limit": 1}):
        (worker,) = await greeter.list_workers(**filters)
        assert (worker.worker_id, worker.queue_name, worker.function_name, worker.status) == (
            workbench.worker_id,
            "greeting",
            "workbench",
            "alive",
        )
    assert await greeter.list_workers(flow="each") == []
    workbench.call(calls.stop_workers([workbench.worker_id]))
    assert await greeter.list_workers() == []
    (worker,) = await greeter.list_workers(with_stopped=True)
    assert (worker.status, worker.stopped_at is None) == ("stopped", False)


@pytest.mark.parametrize("filters", [{"limit": 0}, {"limit": "x"}, {"flow": 5}, {"flow": "a\0b"}])
async def test_workers_that_cannot_be_are_refused(client: Any, filters: Any) -> None:
    with pytest.raises(InvalidInput):
        await client.list_workers(**filters)
