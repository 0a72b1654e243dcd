"""Flows that one implementation has compiled are the other's flows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interop import flows
from interop.reference import run_client
from pgflow import Flow, PgFlow
from pgflow.graph import to_sql
from worker.running import DEADLINE_SECONDS, query, working

TWINS = [flows.chain(), flows.elements, flows.echo(), flows.falsy(), flows.held(), flows.late, flows.everything]
DEFINITIONS = {
    "flows": "select to_jsonb(f) - 'created_at' as row from pgflow.flows as f",
    "steps": "select to_jsonb(s) - 'created_at' as row from pgflow.steps as s order by step_index",
    "deps": "select to_jsonb(d) - 'created_at' as row from pgflow.deps as d order by dep_slug, step_slug",
    "queues": "select to_jsonb(q) - 'created_at' as row from pgmq.list_queues() as q",
}


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


def definitions(url: str) -> dict[str, list[Any]]:
    """All rows that define flows, without the time of their creation."""
    return {table: [row["row"] for row in query(url, statement)] for table, statement in DEFINITIONS.items()}


def compile_in_node(url: str, flow_slug: str) -> None:
    """Register a flow with the statements that the reference's compiler prints."""
    query(url, run_client("compile", flow_slug))


@pytest.mark.parametrize("flow", TWINS, ids=lambda flow: flow.slug)
@pytest.mark.compatible("typescript", "pgflow compile --sql")
def test_both_compilers_print_the_same_statements(flow: Flow) -> None:
    assert to_sql(flow.flow_shape) == run_client("compile", flow.slug).splitlines()


@pytest.mark.compatible("typescript", "rows of flows, steps and dependencies", "create_flow", "add_step")
async def test_both_compilers_register_the_same_rows(url: str) -> None:
    async with PgFlow(url) as app:
        assert await app.ensure_compiled(flows.everything) == "compiled"
        by_python = definitions(url)
        await app.delete_flow(flows.everything)
        compile_in_node(url, "everything")
        assert definitions(url) == by_python
    assert [len(rows) for rows in by_python.values()] == [1, 5, 5, 1]


@pytest.mark.compatible("typescript", "create_flow", "add_step")
async def test_a_flow_that_node_has_compiled_is_verified_and_worked_by_python(url: str) -> None:
    compile_in_node(url, "chain")
    async with PgFlow(url) as app:
        assert await app.ensure_compiled(flows.chain()) == "verified"
        async with working(app, flows.chain()):
            run = await app.start_flow("chain", [])
            assert await run.result(DEADLINE_SECONDS) == {"fourth": ["python"] * 4}


async def test_compiling_in_both_languages_leaves_what_the_first_has_made(url: str) -> None:
    async with PgFlow(url) as app:
        await app.ensure_compiled(flows.everything)
        before = definitions(url)
        compile_in_node(url, "everything")
        assert definitions(url) == before
        assert await app.ensure_compiled(flows.everything) == "verified"


@pytest.mark.compatible("typescript", "rows of flows, steps and dependencies")
async def test_both_languages_may_compile_a_flow_at_once(url: str) -> None:
    statements = run_client("compile", "everything")
    async with PgFlow(url) as app:
        both = [asyncio.to_thread(query, url, statements), app.ensure_compiled(flows.everything)]
        _, *statuses = await asyncio.gather(*both)
        assert statuses in (["compiled"], ["verified"])
        assert await app.ensure_compiled(flows.everything) == "verified"
    assert [len(rows) for rows in definitions(url).values()] == [1, 5, 5, 1]
