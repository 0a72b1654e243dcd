"""A worker whose role may work and nothing else, on flows that the owner has registered."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgflow import Context, Flow, FlowNotFound, FlowShapeMismatch, NotGranted, PgFlow
from pgflow.worker.worker import Worker
from roles import granted_role
from servers import Server
from worker.running import ended, query, working

orders = Flow("orders", max_attempts=2, base_delay=0)


@orders.step
def numbers(order: dict) -> list:
    return [1, 2, order["last"]]


@orders.map(over=numbers)
def double(number: int, ctx: Context) -> int:
    if number == 2 and ctx.attempt == 1:
        raise ValueError("once more")
    return 2 * number


@orders.step(depends_on=[double])
async def total(deps: dict, ctx: Context) -> dict:
    return {"total": sum(deps["double"]), "order": await ctx.flow_input()}


changed = Flow("orders")


@changed.step
def letters(order: dict) -> str:
    return "abc"


@pytest.fixture
async def owner(newest_database_url: str):
    async with PgFlow(newest_database_url) as owner:
        yield owner


@pytest.fixture
def worker_url(newest_server: Server, newest_database_url: str) -> Iterator[str]:
    name = psycopg.conninfo.conninfo_to_dict(newest_database_url)["dbname"]
    with granted_role(newest_server, str(name), "worker") as url:
        yield url


async def test_it_works_a_flow_that_is_registered(owner: PgFlow, newest_database_url: str, worker_url: str, caplog):
    await owner.ensure_compiled(orders)
    async with PgFlow(worker_url) as app:
        options = {"heartbeat_interval": 0.05, "recovery_interval": 0.05}
        async with working(app, orders, **options):
            run = await ended(app, orders, {"last": 3})
    assert run.output == {"total": {"total": 12, "order": {"last": 3}}}
    assert query(newest_database_url, "select from pgflow.workers where stopped_at is null") == []
    assert [record for record in caplog.records if "permission denied" in record.getMessage()] == []


async def test_it_leaves_the_registration_to_the_owner(owner: PgFlow, worker_url: str):
    async with PgFlow(worker_url) as app:
        with pytest.raises(FlowNotFound, match="pgflow compile") as caught:
            await Worker(app, [orders]).start()
    assert isinstance(caught.value.__cause__, NotGranted)


async def test_it_finds_out_that_it_is_not_of_the_registered_flow(owner: PgFlow, worker_url: str):
    await owner.ensure_compiled(orders)
    async with PgFlow(worker_url) as app:
        with pytest.raises(FlowShapeMismatch, match="Step count differs: 1 vs 3"):
            await Worker(app, [changed]).start()


async def test_it_may_not_replace_the_flow_either(owner: PgFlow, worker_url: str):
    await owner.ensure_compiled(orders)
    async with PgFlow(worker_url) as app:
        with pytest.raises(NotGranted, match="permission denied for function ensure_flow_compiled"):
            await app.ensure_compiled(changed, allow_data_loss=True)
        assert await app.ensure_compiled(orders) == "verified"
