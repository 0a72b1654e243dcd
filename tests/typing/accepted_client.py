"""What type checkers must accept in programs that start runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypedDict, assert_type

from pydantic import BaseModel

from pgflow import Flow, FlowDefinition, PgFlow, Run, StepSpec, StepTask, sync


class Order(BaseModel):
    number: int


class Report(TypedDict):
    total: float


plain = Flow("plain")
typed = Flow("typed", input=Order, output=Report)
listed = Flow("listed", input=list[int])
annotated: Flow[int | str, Any] = Flow("annotated")

assert_type(plain, Flow[Any, Any])
assert_type(typed, Flow[Order, Report])
assert_type(listed, Flow[list[int], Any])


@typed.step
def total(order: Order) -> float:
    return float(order.number)


async def start(app: PgFlow) -> None:
    run = await app.start_flow(typed, Order(number=1), delay=1.5)
    assert_type(run, Run[Report])
    assert_type(await run.result(timeout=5), Report)
    assert_type(await (await run.wait()).result(), Report)
    assert_type(await app.start_flows(typed, [Order(number=1)]), list[Run[Report]])
    assert_type(await app.start_flow_sync(typed, Order(number=1)), Run[Report])
    assert_type(await (await app.start_flow(plain, {"any": ["thing"]})).result(), Any)
    assert_type(await (await app.start_flow("typed", {"number": 1})).result(), Any)
    await app.start_flow(listed, [1, 2])
    keyed = await app.start_flow(typed, Order(number=1), key="order 1", tags=["x"], at=datetime.now(UTC))
    assert_type(keyed, Run[Report])
    assert_type(await app.start_flows(typed, [Order(number=1)], keys=["order 1"], tags="x"), list[Run[Report]])
    assert_type((await app.get_run_by_key(typed, "order 1")).existed, bool)
    await app.start_flow(annotated, "text")
    assert_type(await app.get_run("id"), Run[Any])


async def look(app: PgFlow) -> None:
    page = await app.list_runs(flow=[typed, "plain"], status="failed", input_contains={"number": 1}, tags=["x"])
    assert_type(page[0], Run[Any])
    assert_type(page.next_cursor, str | None)
    async for run in app.all_runs(flow=typed):
        assert_type(run, Run[Any])
    assert_type(await app.get_flow(typed), FlowDefinition)
    assert_type(await app.list_tasks("id", "total"), list[StepTask])


async def define(app: PgFlow) -> None:
    steps: list[StepSpec] = [{"slug": "a", "if": {"x": 1}, "when_unmet": "fail"}, {"slug": "b", "deps": ["a"]}]
    assert_type(await app.upsert_flow("tenant", steps, on_conflict="if_changed"), str)
    assert_type(await app.load_flow("tenant", {"a": total, "b": lambda b: b}), Flow[Any, Any])


def start_blocking(app: sync.PgFlow) -> None:
    run = app.start_flow(typed, Order(number=1))
    assert_type(run, sync.Run[Report])
    assert_type(run.result(), Report)
    for each in app.all_runs():
        assert_type(each, sync.Run[Any])
