"""Workers of both languages on the same queues."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from interop import flows, program
from interop.reference import NodeWorker, run_client
from interop.turns import work_in_node, work_in_python, work_in_turn
from pgflow import PgFlow
from worker.running import DEADLINE_SECONDS, query, task, working

NUMBERS = list(range(500))

# As if the only task, which a worker has left behind, had been started two minutes ago.
STALLED = (
    "update pgflow.step_tasks set queued_at = queued_at - interval '2 min', started_at = started_at - interval '2 min'"
)


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.mark.parametrize("languages", [["node", "python"] * 2, ["python", "node"] * 2], ids="-".join)
@pytest.mark.compatible("typescript", "messages", "start_tasks", "complete_task")
async def test_the_steps_of_a_chain_are_worked_by_both_languages_in_turn(url: str, languages: list[str]) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.chain())
        run = await app.start_flow("chain", [])
        await work_in_turn(app, url, flows.chain, languages)
        assert await run.result(DEADLINE_SECONDS) == {"fourth": languages}
    assert query(url, "select attempts_count from pgflow.step_tasks") == [{"attempts_count": 1}] * 4
    assert query(url, "select count(*) from pgmq.q_chain") == [{"count": 0}]


@pytest.mark.feature("A4.1", "A4.23")
@pytest.mark.compatible("typescript", "workers of two languages on one queue", "start_tasks", "complete_task")
async def test_both_languages_compete_for_a_map_and_work_each_element_once(
    url: str, node_worker: Callable[..., NodeWorker]
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.elements)
        other = node_worker("elements", tasks=400)  # so that some are left, however late Python begins
        run = await app.start_flow("elements", NUMBERS)
        await asyncio.to_thread(other.until_printed, "works element")
        async with working(app, flows.elements):
            assert await run.result(DEADLINE_SECONDS) == {"total": sum(NUMBERS)}
        (state,) = query(url, "select output from pgflow.step_states where step_slug = 'element'")
    assert [each["number"] for each in state["output"]] == NUMBERS
    assert set(Counter(each["by"] for each in state["output"])) == {"node", "python"}
    worked = query(url, "select distinct status, attempts_count from pgflow.step_tasks")
    assert worked == [{"status": "completed", "attempts_count": 1}]
    assert query(url, "select count(*) from pgmq.q_elements") == [{"count": 0}]
    assert query(url, "select count(*) from pgmq.a_elements") == [{"count": len(NUMBERS) + 1}]


@pytest.mark.compatible("typescript", "start_flow")
async def test_a_run_that_node_has_started_is_worked_by_python(url: str) -> None:
    async with PgFlow(url) as app, working(app, flows.chain()):
        run_id = await asyncio.to_thread(run_client, "start", "chain", '["before"]', url=url)
        run = await app.get_run(UUID(run_id.strip()))
        assert await run.result(DEADLINE_SECONDS) == {"fourth": ["before", *["python"] * 4]}


@pytest.mark.compatible("typescript", "messages", "start_tasks", "complete_task")
async def test_a_run_that_python_has_started_is_worked_by_node(
    url: str, node_worker: Callable[..., NodeWorker]
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.chain())
        run = await app.start_flow("chain", ["before"])
        node_worker("chain")
        assert await run.result(DEADLINE_SECONDS) == {"fourth": ["before", *["node"] * 4]}


@pytest.mark.compatible("typescript", "start_tasks")
async def test_a_step_of_node_reads_the_input_of_its_run(url: str, node_worker: Callable[..., NodeWorker]) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.late)
        node_worker("late")
        run = await app.start_flow("late", {"name": "world"})
        assert await run.result(DEADLINE_SECONDS) == {"greet": "hello world"}


@pytest.mark.compatible("typescript", "fail_task")
async def test_what_fails_in_python_is_retried_by_node(url: str) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.fragile())
        run = await app.start_flow("fragile", {"fails_in": "python"})
        await work_in_python(app, flows.fragile)
        assert (task(url)["status"], task(url)["error_message"]) == ("queued", "ValueError: python has failed")
        await work_in_node(url, "fragile")
        assert await run.result(DEADLINE_SECONDS) == {"only": "node"}
    assert task(url)["attempts_count"] == 2


@pytest.mark.compatible("typescript", "fail_task")
async def test_what_fails_in_node_is_retried_by_python(url: str) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.fragile())
        run = await app.start_flow("fragile", {"fails_in": "node"})
        await work_in_node(url, "fragile")
        assert (task(url)["status"], task(url)["error_message"]) == ("queued", "node has failed")
        await work_in_python(app, flows.fragile)
        assert await run.result(DEADLINE_SECONDS) == {"only": "python, attempt 2"}


AWKWARD = {
    "text": 'grün 🐘 "\\ \n',
    "none": None,
    "false": False,
    "zero": 0,
    "list": [[], [[]], [0], [None], {"a": {"b": [1.5, -1e-7, 2**53 - 1]}}],
    "object": {},
}


@pytest.mark.parametrize("languages", [["node", "python"], ["python", "node"]], ids="-".join)
@pytest.mark.compatible("typescript", "values")
async def test_values_cross_between_the_languages_unchanged(url: str, languages: list[str]) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.echo())
        run = await app.start_flow("echo", AWKWARD)
        await work_in_turn(app, url, flows.echo, languages)
        assert await run.result(DEADLINE_SECONDS) == {"back": AWKWARD}


@pytest.mark.compatible("typescript", "values")
async def test_falsy_outputs_of_python_reach_node(url: str) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.falsy())
        run = await app.start_flow("falsy", {})
        await work_in_python(app, flows.falsy, concurrency=len(flows.FALSY))
        await work_in_node(url, "falsy")
        assert await run.result(DEADLINE_SECONDS) == {"shown": flows.FALSY}


async def test_the_client_of_node_reports_falsy_outputs_as_null(url: str) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.falsy())
        run = await app.start_flow("falsy", {})
        await work_in_node(url, "falsy", len(flows.FALSY))
        await work_in_python(app, flows.falsy)
        assert await run.result(DEADLINE_SECONDS) == {"shown": {**dict.fromkeys(flows.FALSY), "nothing": []}}


@pytest.mark.compatible("typescript", "requeue_stalled_tasks")
async def test_a_task_of_a_killed_python_worker_is_taken_over_by_node(
    url: str, node_worker: Callable[..., NodeWorker]
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.fragile())
        run = await app.start_flow("fragile", {"fails_in": "nowhere"})
        await asyncio.to_thread(die_in_python, url)
        assert (task(url)["status"], task(url)["attempts_count"]) == ("started", 1)
        node_worker("fragile")
        query(url, STALLED)
        assert query(url, "select pgflow.requeue_stalled_tasks() as count") == [{"count": 1}]
        assert await run.result(DEADLINE_SECONDS) == {"only": "node"}
    assert (task(url)["attempts_count"], task(url)["requeued_count"]) == (2, 1)


@pytest.mark.compatible("typescript", "requeue_stalled_tasks")
async def test_a_task_of_a_killed_node_worker_is_taken_over_by_python(
    url: str, node_worker: Callable[..., NodeWorker], tmp_path: Path
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.held())
        run = await app.start_flow("held", {"until": str(tmp_path / "never")})
        dies = node_worker("held")
        await asyncio.to_thread(dies.until_printed, "works only")
        dies.kill()
        query(url, STALLED)
        async with working(app, flows.held(), recovery_interval=0.1, heartbeat_interval=0.1):
            assert await run.result(DEADLINE_SECONDS) == {"only": "python"}
    assert (task(url)["attempts_count"], task(url)["requeued_count"]) == (2, 1)


@pytest.mark.compatible("typescript", "reports that come too late")
async def test_a_report_of_node_that_comes_too_late_changes_nothing(
    url: str, node_worker: Callable[..., NodeWorker], tmp_path: Path
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.held())
        run = await app.start_flow("held", {"until": str(tmp_path / "file")})
        late = node_worker("held", tasks=1)
        await asyncio.to_thread(late.until_printed, "works only")
        query(url, STALLED)
        query(url, "select pgflow.requeue_stalled_tasks()")
        await work_in_python(app, flows.held)
        before = task(url)
        (tmp_path / "file").touch()
        await asyncio.to_thread(late.finish)
        assert task(url) == before
        assert await run.result(DEADLINE_SECONDS) == {"only": "python"}


@pytest.mark.compatible("typescript", "reports that come too late")
async def test_a_report_of_node_counts_for_the_attempt_that_python_works_meanwhile(
    url: str, node_worker: Callable[..., NodeWorker], tmp_path: Path
) -> None:
    """The contract's functions name no attempt; those of this package do, so its own report comes too late then."""
    file = tmp_path / "file"
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.held())
        run = await app.start_flow("held", {"until": str(file)})
        late = node_worker("held", tasks=1)
        await asyncio.to_thread(late.until_printed, "works only")
        query(url, STALLED)
        query(url, "select pgflow.requeue_stalled_tasks()")
        python_works, may_end = asyncio.Event(), asyncio.Event()
        async with working(app, flows.held(python_works.set, may_end)):
            await asyncio.wait_for(python_works.wait(), DEADLINE_SECONDS)
            file.touch()
            await asyncio.to_thread(late.finish)
            assert await run.result(DEADLINE_SECONDS) == {"only": "node"}
            before = task(url)
            may_end.set()
    assert task(url) == before
    assert (before["status"], before["output"], before["attempts_count"]) == ("completed", "node", 2)


@pytest.mark.compatible("typescript", "runs that are cancelled and retried")
async def test_a_run_that_is_cancelled_while_node_works_it_stays_cancelled(
    url: str, node_worker: Callable[..., NodeWorker], tmp_path: Path
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.held())
        run = await app.start_flow("held", {"until": str(tmp_path / "file")})
        worker = node_worker("held", tasks=1)
        await asyncio.to_thread(worker.until_printed, "works only")
        await run.cancel(reason="too slow")
        before = task(url)
        (tmp_path / "file").touch()
        await asyncio.to_thread(worker.finish)
        assert task(url) == before
        await run.refresh()
    assert (run.status, run.cancelled, run.cancel_reason) == ("failed", True, "too slow")
    assert query(url, "select count(*) from pgmq.q_held") == [{"count": 0}]


@pytest.mark.compatible("typescript", "runs that are cancelled and retried")
@pytest.mark.parametrize(("fails_in", "succeeds_in"), [("node", "python"), ("python", "node")])
async def test_a_run_that_failed_in_one_language_is_retried_in_the_other(
    url: str, fails_in: str, succeeds_in: str
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.fragile())
        query(url, "update pgflow.flows set opt_max_attempts = 1")
        run = await app.start_flow("fragile", {"fails_in": fails_in})
        await work_in_turn(app, url, flows.fragile, [fails_in])
        assert (await run.refresh()).status == "failed"
        await run.retry()
        await work_in_turn(app, url, flows.fragile, [succeeds_in])
        assert (await run.result(DEADLINE_SECONDS))["only"].startswith(succeeds_in)


@pytest.mark.compatible("typescript", "runs that are cancelled and retried")
async def test_a_run_that_is_retried_has_all_its_attempts_again_in_node(url: str) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.fragile())
        query(url, "update pgflow.flows set opt_max_attempts = 2")
        run = await app.start_flow("fragile", {"fails_in": "node"})
        await work_in_node(url, "fragile", tasks=2)
        assert (await run.refresh()).status == "failed"
        await run.retry()
        await work_in_node(url, "fragile", tasks=1)
        assert ((await run.refresh()).status, task(url)["status"]) == ("started", "queued")
        await work_in_node(url, "fragile", tasks=1)
        assert ((await run.refresh()).status, task(url)["attempts_count"]) == ("failed", 4)


@pytest.mark.compatible("typescript", "conditions of steps")
@pytest.mark.parametrize("left", [True, False])
async def test_node_works_the_steps_whose_conditions_are_met(
    url: str, node_worker: Callable[..., NodeWorker], left: bool
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.branches)
        node_worker("branches")
        run = await app.start_flow("branches", {"left": left})
        assert await run.result(DEADLINE_SECONDS) == {"joined": {"left" if left else "right": "node"}}


@pytest.mark.compatible("typescript", "rows of workers", "mark_worker_stopped")
async def test_a_worker_of_node_is_listed_asked_to_leave_and_listed_as_stopped(
    url: str, node_worker: Callable[..., NodeWorker]
) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.chain())
        worker = node_worker("chain")
        query(url, "update pgflow.workers set deprecated_at = now() where worker_id = %s", worker.worker_id)
        await asyncio.to_thread(worker.finish)
    (row,) = query(url, "select * from pgflow.workers")
    assert (row["worker_id"], row["queue_name"], row["function_name"]) == (worker.worker_id, "chain", "node")
    assert row["stopped_at"] is not None


@pytest.mark.compatible("typescript", "rows of workers")
async def test_a_worker_of_node_ends_at_a_signal(url: str, node_worker: Callable[..., NodeWorker]) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.chain())
        worker = node_worker("chain")
        await asyncio.to_thread(worker.stop)
    (row,) = query(url, "select * from pgflow.workers")
    assert row["stopped_at"] is not None


def die_in_python(url: str) -> None:
    """Run a worker that is killed when its handler has begun."""
    with subprocess.Popen([sys.executable, program.__file__ or "", url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
        finally:
            process.kill()
