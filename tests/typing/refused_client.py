"""What type checkers must refuse in programs that start runs: each marked line, and no other."""

from __future__ import annotations

from typing import TypedDict

from pydantic import BaseModel

from pgflow import Flow, PgFlow, StepSpec


class Order(BaseModel):
    number: int


class Report(TypedDict):
    total: float


typed = Flow("typed", input=Order, output=Report)
Flow("other", input=5)  # refused: arg-type


async def start(app: PgFlow) -> None:
    await app.start_flow(typed, {"number": 1})  # refused: misc
    await app.start_flow(typed, Order(number=1), delay="5")  # refused: call-overload
    await app.start_flow(5, {})  # refused: call-overload
    await app.start_flow(typed)  # refused: call-overload
    await app.start_flows(typed, [1])  # refused: misc
    run = await app.start_flow(typed, Order(number=1))
    (await run.result())["sum"]  # refused: typeddict-item
    print((await run.result()).total)  # refused: attr-defined
    run.output = None  # refused: misc


async def look(app: PgFlow) -> None:
    await app.list_runs(typed)  # refused: call-arg
    await app.list_runs(limit="5")  # refused: arg-type
    await app.list_runs(since="yesterday")  # refused: arg-type
    await app.prune("30d")  # refused: arg-type


async def define(app: PgFlow) -> None:
    await app.upsert_flow("tenant", [], on_conflict="replace")  # refused: arg-type
    step: StepSpec = {"slug": "a", "when_unmet": "maybe"}  # refused: typeddict-item
    other: StepSpec = {"slug": "a", "handler": "a"}  # refused: typeddict-unknown-key
    await app.upsert_flow("tenant", [step, other])
