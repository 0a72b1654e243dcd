"""Our client on the reference's schema: as it is, and adopted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from conftest import as_superuser
from interop.core.flows import chain
from pgflow import Flow, FlowNotFound, FlowShapeMismatch, InvalidInput, PgFlow, RunNotFound, StepSpec, calls, sync
from pgflow.errors import SchemaError
from pgflow.types import TaskReport
from servers import Server
from worker.running import DEADLINE_SECONDS, query, working


async def test_a_flow_that_is_compiled_has_the_rows_that_their_functions_write(app: PgFlow, url: str):
    flow = Flow("described", max_attempts=4, base_delay=2, timeout=30)

    @flow.step(max_attempts=7, start_delay=3)
    def first(_: object) -> list[int]:
        return [1]

    @flow.step
    def beside(_: object) -> None: ...

    @flow.map(over=first, timeout=9)
    def each(item: int) -> int:
        return item

    @flow.step(depends_on=[each, beside], base_delay=0)
    def last(deps: dict[str, Any]) -> None: ...

    assert await app.compile(flow) == "compiled"
    ours = definition(url, "described")
    query(url, "delete from pgflow.deps")
    query(url, "delete from pgflow.steps")
    query(url, "delete from pgflow.flows")
    query(url, "select pgflow.create_flow('described', 4, 2, 30)")
    query(url, "select pgflow.add_step('described', 'first', max_attempts => 7, start_delay => 3)")
    query(url, "select pgflow.add_step('described', 'beside')")
    query(url, "select pgflow.add_step('described', 'each', array['first'], timeout => 9, step_type => 'map')")
    query(url, "select pgflow.add_step('described', 'last', array['beside', 'each'], base_delay => 0)")
    assert ours == definition(url, "described")
    assert await app.compile(flow) == "verified"


async def test_two_that_compile_at_once_register_a_flow_once(url: str):
    async with PgFlow(url) as first, PgFlow(url) as second:
        statuses = await asyncio.gather(first.compile(chain()), second.compile(chain()))
    assert sorted(statuses) == ["compiled", "verified"]
    assert query(url, "select count(*) as count from pgflow.steps") == [{"count": 3}]


async def test_another_shape_is_refused_and_nothing_changes(app: PgFlow, url: str):
    await app.compile(chain())
    before = definition(url, "chain")
    flow = Flow("chain")

    @flow.step
    def only(_: object) -> None: ...

    with pytest.raises(FlowShapeMismatch, match="Step count differs: 1 vs 3"):
        await app.compile(flow)
    with pytest.raises(SchemaError, match="no function that deletes it"):
        await app.compile(flow, allow_data_loss=True)
    assert definition(url, "chain") == before


async def test_conditions_are_refused_before_anything_is_registered(app: PgFlow, url: str):
    flow = Flow("conditional")

    @flow.step
    def first(_: object) -> None: ...

    @flow.step(if_={"first": None})
    def second(first: None) -> None: ...

    with pytest.raises(SchemaError, match="step 'second' of flow 'conditional' has conditions"):
        await app.compile(flow)
    assert query(url, "select from pgflow.flows") == []


async def test_a_flow_that_is_plain_data_is_registered(app: PgFlow):
    steps: list[StepSpec] = [{"slug": "one"}, {"slug": "two", "depends_on": ["one"]}]
    assert await app.upsert_flow("plain", steps, on_conflict="error") == "compiled"
    assert await app.upsert_flow("plain", steps, on_conflict="if_changed") == "verified"
    with pytest.raises(SchemaError, match="no function that deletes it"):
        await app.upsert_flow("plain", steps[:1])
    found = await app.get_flow("plain")
    assert [step.slug for step in found.steps] == ["one", "two"]
    assert await app.flow_exists("plain")
    assert not await app.flow_exists("none")


async def test_a_run_that_their_function_starts_is_worked_and_ended(app: PgFlow, url: str):
    flow = chain()
    async with working(app, flow):
        [row] = query(url, "select run_id from pgflow.start_flow('chain', %s::jsonb)", json.dumps({"number": 1}))
        run = await (await app.get_run(row["run_id"])).wait(DEADLINE_SECONDS)
    assert run.status == "completed"


async def test_a_run_that_is_started_here_is_worked_by_their_functions(app: PgFlow, url: str):
    await app.compile(chain())
    run = await app.start_flow("chain", {"number": 1})
    worker_id = uuid4()
    query(url, "insert into pgflow.workers (worker_id, queue_name, function_name) values (%s, 'chain', 'x')", worker_id)
    for _ in range(3):
        query(
            url,
            "with message as (select msg_id from pgmq.read('chain', 30, 1)), task as ("
            " select t.* from message, pgflow.start_tasks('chain', array[message.msg_id], %s) as t)"
            " select done.* from task, pgflow.complete_task(task.run_id, task.step_slug, 0, '7'::jsonb) as done",
            worker_id,
        )
    assert await run.result(DEADLINE_SECONDS) == {"third": 7}


async def test_runs_are_started_as_everywhere(app: PgFlow, url: str):
    await app.compile(chain())
    run_id = uuid4()
    run = await app.start_flow("chain", {"number": 1}, run_id=run_id, delay=60)
    assert run.run_id == run_id
    await app.start_flow("chain", {"number": 1}, at=datetime.now(UTC) + timedelta(minutes=1))
    waiting = query(url, "select vt - clock_timestamp() > interval '50 s' as later from pgmq.q_chain")
    assert waiting == [{"later": True}] * 2
    with pytest.raises(InvalidInput, match="already in use"):
        await app.start_flow("chain", {}, run_id=run_id)
    with pytest.raises(FlowNotFound, match="'none'"):
        await app.start_flow("none", {})
    with pytest.raises(InvalidInput):
        await app.start_flow("chain", "\x00")


async def test_what_runs_can_not_have_there_is_refused(app: PgFlow, url: str):
    await app.compile(chain())
    with pytest.raises(SchemaError, match="no keys and no tags"):
        await app.start_flow("chain", {}, key="once")
    with pytest.raises(SchemaError, match="no keys and no tags"):
        await app.start_flow("chain", {}, tags=["mine"])
    with pytest.raises(SchemaError, match="takes fewer arguments"):
        await app.list_runs(tags=["mine"])
    assert query(url, "select from pgflow.runs") == []


@pytest.mark.parametrize("call", ["cancel_run", "retry_run", "prune", "delete_flow"])
async def test_what_does_not_exist_there_names_the_command_that_helps(app: PgFlow, call: str):
    argument: Any = {"prune": timedelta(days=1), "delete_flow": "chain"}.get(call, uuid4())
    with pytest.raises(SchemaError, match="pgflow migrate"):
        await getattr(app, call)(argument)


async def test_runs_and_workers_are_listed(app: PgFlow):
    await app.compile(chain())
    runs = await app.start_flows("chain", [{"number": number} for number in range(5)])
    page = await app.list_runs(flow="chain", status="started", limit=3)
    assert len(page) == 3
    assert page.next_cursor is not None
    rest = await app.list_runs(limit=3, after=page.next_cursor)
    assert {run.run_id for run in [*page, *rest]} == {run.run_id for run in runs}
    assert await app.count_runs(input_contains={"number": 3}) == 1
    assert await app.list_runs(status="failed") == []
    assert [task.status for task in await app.list_tasks(runs[0].run_id)] == ["queued"]
    assert (await runs[0].read_progress())["first"].queued == 1
    assert (await app.get_run_with_states(runs[0].run_id)).step("first").output is None
    with pytest.raises(RunNotFound):
        await app.get_run(uuid4())
    async with working(app, chain()) as worker:
        assert [row.queue_name for row in await app.list_workers()] == list(worker.flow_slugs)


async def test_a_run_that_is_started_in_a_callers_transaction_exists_if_that_commits(app: PgFlow, url: str):
    await app.compile(chain())
    async with await psycopg.AsyncConnection.connect(url) as connection:
        lost = await app.start_flow("chain", {"number": 1}, delay=5, conn=connection)
        await connection.rollback()
        kept = await app.start_flow("chain", {"number": 1}, conn=connection)
        await connection.commit()
    assert (await app.get_run(kept.run_id)).status == "started"
    with pytest.raises(RunNotFound):
        await app.get_run(lost.run_id)


def test_the_blocking_client_works_too(url: str):
    with sync.PgFlow(url) as app:
        assert app.core_version() == "0.8.0"
        app.compile(chain())
        run = app.start_flow("chain", {"number": 1}, delay=1)
        assert app.get_run(run.run_id).status == "started"
        assert [flow.slug for flow in app.list_flows()] == ["chain"]


async def test_the_version_of_the_core_is_that_of_what_was_found(app: PgFlow):
    assert app.core_version() == "0.8.0"


async def test_a_task_of_a_worker_that_was_killed_is_taken_over(app: PgFlow, url: str):
    await app.compile(chain())
    run = await app.start_flow("chain", {"number": 1})
    dead = uuid4()
    [task] = await started(app, dead)
    query(
        url, "update pgflow.step_tasks set queued_at = queued_at - interval '2 h', started_at = now() - interval '1 h'"
    )
    query(url, "select pgmq.set_vt('chain', msg_id, 3600) from pgmq.q_chain")
    assert await app.recover_stalled() == 1
    assert await app.recover_stalled() == 0
    async with working(app, chain()):
        assert (await run.wait(DEADLINE_SECONDS)).status == "completed"
    late = TaskReport(task.run_id, "first", 0, task.attempt, output=b"99")
    assert await app.database.run(calls.complete_tasks([late])) == []
    assert (await app.get_run_with_states(run.run_id)).step("first").output == 2


async def test_a_task_that_stalls_again_and_again_fails_its_run(app: PgFlow, url: str):
    flow = Flow("deadly", max_attempts=1)

    @flow.step
    def only(_: object) -> None: ...

    await app.compile(flow)
    run = await app.start_flow(flow, {})
    recovered = []
    for _ in range(5):
        await started(app, uuid4(), "deadly")
        query(url, "update pgflow.step_tasks set queued_at = '2000-01-01', started_at = '2000-01-01'")
        recovered.append(await app.recover_stalled())
    assert recovered == [1, 1, 1, 0, 0]
    assert (await run.refresh()).status == "failed"
    assert run.step("only").error_message == "The task stalled again and again"


async def test_reports_count_once_and_for_their_attempt_only(app: PgFlow):
    await app.compile(chain())
    await app.start_flow("chain", {"number": 1})
    worker_id = uuid4()
    [task] = await started(app, worker_id)
    done = TaskReport(task.run_id, "first", 0, 1, output=b"2")
    early = TaskReport(task.run_id, "first", 0, 2, output=b"3")
    assert await app.database.run(calls.complete_tasks([early])) == []
    assert await app.database.run(calls.complete_tasks([done, done])) == [0]
    assert await app.database.run(calls.fail_tasks([TaskReport(task.run_id, "first", 0, 1, error_message="no")])) == []
    assert await app.get_step_output(task.run_id, "first") == 2


async def test_two_that_report_one_task_at_once_count_once(url: str):
    async with PgFlow(url) as first, PgFlow(url) as second:
        await first.compile(chain())
        await first.start_flow("chain", {"number": 1})
        [task] = await started(first, uuid4())
        reports = [TaskReport(task.run_id, "first", 0, 1, output=output) for output in (b"1", b"2")]
        answers = await asyncio.gather(
            first.database.run(calls.complete_tasks(reports[:1])),
            second.database.run(calls.complete_tasks(reports[1:])),
        )
        assert sorted(answers) == [[], [0]]


async def test_tasks_of_an_answer_that_was_lost_are_given_back(app: PgFlow):
    await app.compile(chain())
    first, second = await app.start_flows("chain", [{"number": 1}] * 2)
    worker_id = uuid4()
    tasks = await started(app, worker_id)
    assert {task.run_id for task in tasks} == {first.run_id, second.run_id}
    known = [(tasks[0].run_id, "first", 0, 1)]
    assert await app.database.run(calls.release_lost_tasks([worker_id], known)) == 1
    [again] = await started(app, worker_id)
    assert (again.run_id, again.attempt) == (tasks[1].run_id, 1)
    assert await app.database.run(calls.extend_leases(tasks)) == [0, 1]


async def test_messages_stay_away_for_as_long_as_their_tasks_may_run(app: PgFlow, url: str):
    await app.compile(chain())
    await app.start_flow("chain", {"number": 1})
    await started(app, uuid4())
    [left] = query(url, "select extract(epoch from vt - clock_timestamp())::float as seconds from pgmq.q_chain")
    assert 55 < left["seconds"] <= 62


async def test_a_role_that_may_call_nothing_of_what_was_added_works_without_it(
    app: PgFlow, url: str, state: str, reader_url: str
):
    await app.compile(chain())
    query(url, "grant usage on schema pgflow to reader")
    query(url, "grant select on all tables in schema pgflow to reader")
    async with PgFlow(reader_url) as other:
        assert other.database.core is not None
        assert other.database.core.is_adopted == (state == "adopted")
        assert [flow.slug for flow in await other.list_flows()] == ["chain"]
        assert await other.count_runs() == 0


@pytest.fixture
def reader_url(server: Server, url: str) -> Iterator[str]:
    """The database for a role `reader` that has no rights."""
    with as_superuser(url, autocommit=True) as superuser:
        superuser.execute("create role reader login")
        yield url.replace("//app@", "//reader@")
        superuser.execute("drop owned by reader")
        superuser.execute("drop role reader")


async def started(app: PgFlow, worker_id: object, flow_slug: str = "chain") -> list[Any]:
    """Start the tasks that there are for a worker that does nothing else."""
    await app.database.run(calls.register_worker(worker_id, flow_slug, "tests"))  # type: ignore[arg-type]
    return (await app.database.run(calls.exchange_tasks([], {flow_slug: worker_id}, 10))).tasks  # type: ignore[dict-item]


def definition(url: str, slug: str) -> list[Any]:
    statement = "select to_jsonb(t) - 'created_at' as row from pgflow.{} t where flow_slug = %s order by 1"
    return [query(url, statement.format(table), slug) for table in ("flows", "steps", "deps")]
