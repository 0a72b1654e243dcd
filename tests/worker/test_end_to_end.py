"""Whole flows on every version of PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pgflow import Flow, PgFlow
from worker.running import query, worked


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@dataclass
class Order:
    customer: str
    amounts: list[int]


@pytest.mark.feature("A4.5")
async def test_a_chain_passes_on_what_each_step_returns(app: PgFlow) -> None:
    flow = Flow("chain")

    @flow.step
    def first(number: int) -> int:
        return number + 1

    @flow.step
    async def second(first: int) -> int:
        return first * 10

    @flow.step
    def third(second: int) -> str:
        return f"<{second}>"

    assert (await worked(app, flow, 1)).output == {"third": "<20>"}


@pytest.mark.feature("A4.5")
async def test_steps_fan_out_and_in(app: PgFlow) -> None:
    flow = Flow("fan")

    @flow.step
    def order(value: Order) -> Order:
        return value

    @flow.step
    def total(order: Order) -> int:
        return sum(order.amounts)

    @flow.step
    async def greeting(order: Order) -> str:
        return f"Hello, {order.customer}"

    @flow.step(depends_on=[total, greeting])
    def letter(deps: dict[str, Any], flow_input: Order) -> str:
        return f"{deps['greeting']}: {deps['total']} for {len(flow_input.amounts)} items"

    run = await worked(app, flow, {"customer": "Ann", "amounts": [1, 2]})
    assert run.output == {"letter": "Hello, Ann: 3 for 2 items"}


@pytest.mark.feature("A4.6", "A5.9")
async def test_a_root_map_works_the_elements_of_the_input(app: PgFlow) -> None:
    flow = Flow("root_map")

    @flow.map
    def square(number: int) -> int:
        return number * number

    assert (await worked(app, flow, list(range(30)))).output == {"square": [n * n for n in range(30)]}


@pytest.mark.feature("A4.6", "A5.9")
async def test_a_map_over_a_map_keeps_the_order(app: PgFlow) -> None:
    flow = Flow("map_to_map")

    @flow.step
    def numbers(count: int) -> list[int]:
        return list(range(count))

    @flow.map(over=numbers)
    async def doubled(number: int) -> int:
        return number * 2

    @flow.map(over=doubled)
    def named(number: int) -> str:
        return f"n{number}"

    @flow.step
    def joined(named: list[str]) -> str:
        return " ".join(named)

    assert (await worked(app, flow, 4)).output == {"joined": "n0 n2 n4 n6"}


async def test_a_map_over_nothing_completes_with_an_empty_list(app: PgFlow) -> None:
    flow = Flow("empty_map")

    @flow.map
    def never(element: int) -> int:
        raise AssertionError("there is no element")

    @flow.step
    def count(never: list[int]) -> int:
        return len(never)

    assert (await worked(app, flow, [])).output == {"count": 0}


@pytest.mark.feature("A5.11")
async def test_null_elements_are_elements(app: PgFlow) -> None:
    flow = Flow("nulls")

    @flow.map
    def is_none(element: Any) -> bool:
        return element is None

    @flow.map(over=is_none)
    def nothing(element: bool) -> None:
        return None

    @flow.step
    def seen(is_none: list[bool], nothing: list[None]) -> list[Any]:
        return [is_none, nothing]

    assert (await worked(app, flow, [None, 0, None])).output == {"seen": [[True, False, True], [None, None, None]]}


async def test_nothing_is_left_in_the_queue(app: PgFlow, url: str) -> None:
    flow = Flow("tidy")

    @flow.map
    def same(element: int) -> int:
        return element

    await worked(app, flow, [1, 2, 3])
    assert query(url, "select count(*) from pgmq.q_tidy") == [{"count": 0}]
    assert query(url, "select count(*) from pgmq.a_tidy") == [{"count": 3}]
