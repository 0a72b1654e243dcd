"""Workers of both languages on the reference's own schema, as it is and adopted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

from interop import flows
from interop.reference import NodeWorker, run_client
from interop.turns import work_in_turn
from pgflow import PgFlow, reference
from worker.running import DEADLINE_SECONDS, query, working

NUMBERS = list(range(500))


@pytest.mark.parametrize("languages", [["node", "python"] * 2, ["python", "node"] * 2], ids="-".join)
@pytest.mark.compatible("reference schema", "workers of two languages on one queue")
async def test_the_steps_of_a_chain_are_worked_by_both_languages_in_turn(
    app: PgFlow, url: str, languages: list[str]
) -> None:
    await app.ensure_compiled(flows.chain())
    run = await app.start_flow("chain", [])
    await work_in_turn(app, url, flows.chain, languages)
    assert await run.result(DEADLINE_SECONDS) == {"fourth": languages}
    assert query(url, "select attempts_count from pgflow.step_tasks") == [{"attempts_count": 1}] * 4


@pytest.mark.compatible("reference schema", "workers of two languages on one queue")
async def test_both_languages_compete_for_a_map_and_work_each_element_once(
    app: PgFlow, url: str, node_worker: Callable[..., NodeWorker]
) -> None:
    await app.ensure_compiled(flows.elements)
    other = node_worker("elements", tasks=400)
    run = await app.start_flow("elements", NUMBERS)
    await asyncio.to_thread(other.until_printed, "works element")
    async with working(app, flows.elements):
        assert await run.result(DEADLINE_SECONDS) == {"total": sum(NUMBERS)}
    outputs = query(url, "select output from pgflow.step_tasks where step_slug = 'element' order by task_index")
    assert [each["output"]["number"] for each in outputs] == NUMBERS
    assert set(Counter(each["output"]["by"] for each in outputs)) == {"node", "python"}
    assert query(url, "select distinct attempts_count from pgflow.step_tasks") == [{"attempts_count": 1}]


@pytest.mark.compatible("reference schema", "start_flow")
async def test_a_run_that_node_has_started_is_worked_by_python(app: PgFlow, url: str) -> None:
    async with working(app, flows.chain()):
        run_id = await asyncio.to_thread(run_client, "start", "chain", '["before"]', url=url)
        run = await app.get_run(UUID(run_id.strip()))
        assert await run.result(DEADLINE_SECONDS) == {"fourth": ["before", *["python"] * 4]}


@pytest.mark.compatible("reference schema", "pgflow migrate --adopt")
async def test_a_worker_of_node_goes_on_through_adoption_and_removal(
    reference_url: str, node_worker: Callable[..., NodeWorker]
) -> None:
    async with PgFlow(reference_url) as app:
        await app.ensure_compiled(flows.chain())
        worker = node_worker("chain")
        before = await app.start_flow("chain", ["before"])
        assert await before.result(DEADLINE_SECONDS) == {"fourth": ["before", *["node"] * 4]}

        during = await app.start_flows("chain", [["during"]] * 20)
        with psycopg.connect(reference_url) as connection:
            reference.adopt(connection)
        during += await app.start_flows("chain", [["during"]] * 20)
        for run in during:
            assert await run.result(DEADLINE_SECONDS) == {"fourth": ["during", *["node"] * 4]}

        with psycopg.connect(reference_url) as connection:
            reference.remove(connection)
        after = await app.start_flow("chain", ["after"])
        assert await after.result(DEADLINE_SECONDS) == {"fourth": ["after", *["node"] * 4]}
        await asyncio.to_thread(worker.stop)
