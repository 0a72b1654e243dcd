"""Our worker on the reference's schema, as it is and adopted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest

from interop.core import program
from interop.core.flows import chain
from pgflow import Context, Flow, NonRetryable, PgFlow, Retry, RunFailed, Snooze, calls
from worker.running import DEADLINE_SECONDS, query, worked, working


@pytest.mark.compatible(
    "reference schema", "create_flow", "add_step", "start_flow", "messages", "start_tasks", "complete_task"
)
async def test_chains_are_worked_and_outputs_reach_the_steps_behind(app: PgFlow):
    run = await worked(app, chain(), {"number": 1})
    assert run.status == "completed"
    assert run.output == {"third": {"second": [2], "input": {"number": 1}}}
    assert [(step.step_slug, step.output) for step in run.steps] == [
        ("first", 2),
        ("second", [2]),
        ("third", {"second": [2], "input": {"number": 1}}),
    ]


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, {"run": 1}])
@pytest.mark.compatible("reference schema", "values")
async def test_every_value_survives_as_input_and_as_output(app: PgFlow, value: Any):
    flow = Flow("values")

    @flow.step
    def given(anything):
        return anything

    @flow.step
    def passed(given):
        return given

    run = await worked(app, flow, value)
    assert run.output == {"passed": value}
    assert await app.get_step_output(run.run_id, "given", "nothing") == value
    assert await app.get_flow_input(run.run_id) == value


@pytest.mark.compatible("reference schema", "start_tasks", "complete_task")
async def test_a_map_of_500_works_every_element_once(app: PgFlow):
    flow, seen = Flow("squares"), []

    @flow.map
    def square(number: int) -> int:
        seen.append(number)
        return number * number

    @flow.step
    def total(square: list[int]) -> int:
        return sum(square)

    run = await worked(app, flow, list(range(500)))
    assert run.output == {"total": sum(number * number for number in range(500))}
    assert sorted(seen) == list(range(500))


async def test_a_map_over_a_step_and_an_empty_one(app: PgFlow):
    flow = Flow("mapped")

    @flow.step
    def numbers(count: int) -> list[int]:
        return list(range(count))

    @flow.map(over=numbers)
    def double(number: int) -> int:
        return 2 * number

    async with working(app, flow):
        full, empty = await app.start_flows(flow, [3, 0])
        assert await full.result(DEADLINE_SECONDS) == {"double": [0, 2, 4]}
        assert await empty.result(DEADLINE_SECONDS) == {"double": []}


@pytest.mark.compatible("reference schema", "fail_task")
async def test_a_task_fails_and_is_tried_again(app: PgFlow):
    flow, attempts = Flow("flaky", max_attempts=3, base_delay=0), []

    @flow.step
    def unsure(_: object, ctx: Context) -> int:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise Retry(after=0)
        return ctx.max_attempts

    run = await worked(app, flow, {})
    assert run.output == {"unsure": 3}
    assert attempts == [1, 2, 3]


@pytest.mark.compatible("reference schema", "fail_task")
async def test_a_run_fails_when_attempts_are_exhausted(app: PgFlow):
    flow = Flow("hopeless", max_attempts=2, base_delay=0)

    @flow.step
    def never(_: object) -> None:
        raise ValueError("no luck")

    async with working(app, flow):
        run = await app.start_flow(flow, {})
        with pytest.raises(RunFailed, match=r"in step 'never'.*no luck"):
            await run.result(DEADLINE_SECONDS)
    [task] = await app.list_tasks(run.run_id)
    assert (task.status, task.attempts_count, task.requeued_count) == ("failed", 2, 0)


async def test_what_is_not_to_be_retried_fails_at_once(app: PgFlow, url: str):
    flow, calls = Flow("final", max_attempts=5), []

    @flow.step
    def once(_: object) -> None:
        calls.append(1)
        raise NonRetryable("never again")

    run = await worked(app, flow, {})
    assert (run.status, len(calls)) == ("failed", 1)
    assert run.step("once").error_message is not None
    assert query(url, "select count(*) as count from pgmq.q_final") == [{"count": 0}]


async def test_a_snooze_uses_up_no_attempt(app: PgFlow):
    flow, attempts = Flow("sleepy", max_attempts=1), []

    @flow.step
    def later(_: object, ctx: Context) -> int:
        attempts.append(ctx.attempt)
        if len(attempts) < 3:
            raise Snooze(0)
        return ctx.attempt

    run = await worked(app, flow, {})
    assert run.output == {"later": 1}
    assert attempts == [1, 1, 1]


async def test_a_parent_that_returns_no_array_fails_the_run(app: PgFlow):
    flow = Flow("violation")

    @flow.step
    def words(_: object):
        return "no array"

    @flow.map(over=words)
    def each(word):
        return word

    run = await worked(app, flow, {})
    assert run.status == "failed"
    assert "TYPE_VIOLATION" in str(run.step("words").error_message)


async def test_what_a_handler_writes_is_committed_with_its_task(app: PgFlow, url: str):
    query(url, "create table notes (note text)")
    flow = Flow("writing", max_attempts=2, base_delay=0)

    @flow.step
    async def write(_: object, ctx: Context) -> str:
        async with ctx.transaction() as connection:
            await connection.execute("insert into notes values (%s)", [f"attempt {ctx.attempt}"])
        if ctx.attempt == 1:
            raise ValueError("not yet")
        return "written"

    run = await worked(app, flow, {})
    assert run.output == {"write": "written"}
    assert query(url, "select note from notes") == [{"note": "attempt 2"}]


async def test_a_step_reads_the_input_of_its_run(app: PgFlow):
    flow = Flow("reading")

    @flow.step
    def first(_: object) -> int:
        return 1

    @flow.step
    async def second(first: int, ctx: Context) -> Any:
        return [first, await ctx.flow_input()]

    run = await worked(app, flow, {"deep": [1]})
    assert run.output == {"second": [1, {"deep": [1]}]}


@pytest.mark.compatible("reference schema", "messages", "start_tasks")
async def test_two_workers_share_a_queue_and_no_task_is_done_twice(app: PgFlow, url: str):
    flow, seen = Flow("shared"), []

    @flow.map
    async def element(number: int) -> int:
        seen.append(number)
        await asyncio.sleep(0)
        return number

    async with working(app, flow), PgFlow(url) as other, working(other, flow):
        runs = await app.start_flows(flow, [list(range(30))] * 4)
        for run in runs:
            assert await run.result(DEADLINE_SECONDS) == {"element": list(range(30))}
    assert sorted(seen) == sorted(list(range(30)) * 4)


async def test_a_worker_that_stops_gives_its_tasks_back(app: PgFlow, url: str):
    flow, begun = Flow("stopping", max_attempts=1), asyncio.Event()

    @flow.step
    async def slow(_: object, ctx: Context) -> int:
        begun.set()
        if ctx.attempt == 1 and not handed_over:
            await asyncio.sleep(DEADLINE_SECONDS)
        return ctx.attempt

    handed_over: list[bool] = []
    async with working(app, flow, stop_within=0):
        run = await app.start_flow(flow, {})
        await begun.wait()
    [task] = await app.list_tasks(run.run_id)
    assert (task.status, task.attempts_count) == ("queued", 0)
    [worker] = query(url, "select deprecated_at is not null as ended from pgflow.workers")
    assert worker == {"ended": True}
    handed_over.append(True)
    async with working(app, flow):
        assert await run.result(DEADLINE_SECONDS) == {"slow": 1}


@pytest.mark.compatible("reference schema", "rows of workers")
async def test_a_worker_leaves_when_the_database_asks_it_to(app: PgFlow, url: str):
    async with working(app, chain(), heartbeat_interval=0.01) as worker:
        query(url, "update pgflow.workers set deprecated_at = now()")
        await asyncio.wait_for(worker.wait(), DEADLINE_SECONDS)
    assert worker.stop_reason == "deprecated"


async def test_a_health_check_counts_the_messages_of_queues(app: PgFlow):
    flow = chain()
    async with working(app, flow):
        await app.start_flow(flow, {"number": 1}, delay=3600)
    [depth] = (await app.database.run(calls.get_queue_depths(["chain"]))).values()
    assert (depth.visible_count, depth.delayed_count, depth.oldest_seconds) == (0, 1, None)


async def test_events_arrive_at_realtime_as_the_core_sends_them(app: PgFlow, url: str):
    run = await worked(app, chain(), {"number": 1})
    sent = query(url, "select event, topic, payload from realtime.sent order by number")
    steps = [f"step:{slug}:{status}" for slug in ("first", "second", "third") for status in ("started", "completed")]
    assert [event["event"] for event in sent] == ["run:started", *steps, "run:completed"]
    assert {event["topic"] for event in sent} == {f"pgflow:run:{run.run_id}"}
    assert sent[-1]["payload"]["output"] == run.output


async def test_a_task_of_a_process_that_was_killed_is_taken_over(app: PgFlow, url: str):
    flow = Flow("killed", timeout=1, max_attempts=1)

    @flow.step
    def only(_: object, ctx: Context) -> int:
        return ctx.attempt

    await app.compile(flow)
    run = await app.start_flow(flow, {})
    process = await asyncio.create_subprocess_exec(sys.executable, program.__file__, url, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    process.kill()
    await process.wait()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await app.recover_stalled(0):
        assert time.monotonic() < deadline, "it never counted as stalled"
        await asyncio.sleep(0.05)
    async with working(app, flow):
        assert await run.result(DEADLINE_SECONDS) == {"only": 2}
