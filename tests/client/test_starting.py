"""Starting runs: what goes in, what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel

from client.flows import each, greeting
from client.workbench import Workbench
from pgflow import FlowNotFound, InvalidInput, RunStatus


class Person(BaseModel):
    name: str
    born: datetime


@dataclass
class Point:
    x: int
    y: float


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


async def count_runs(client: Any, workbench: Workbench) -> int:
    return workbench.connection.execute("select count(*) from pgflow.runs").fetchone()[0]


@pytest.mark.feature("A1.4")
@pytest.mark.parametrize(
    "value", [0, False, "", None, [], {}, 1.5, "ü \U0001f600 \\u0000 '\"", [None], 2**80, {"": None}]
)
async def test_an_input_arrives_as_it_was(greeter: Any, workbench: Workbench, value: Any) -> None:
    run = await greeter.start_flow(greeting, value)
    assert (run.input, type(run.input)) == (value, type(value))
    workbench.echo()
    assert await run.result(timeout=5) == {"greet": value}


@pytest.mark.feature("A1.4")
async def test_a_flow_is_named_by_its_object_or_its_slug(greeter: Any) -> None:
    by_object = await greeter.start_flow(greeting, 1)
    by_slug = await greeter.start_flow("greeting", 1)
    assert by_object.flow_slug == by_slug.flow_slug == "greeting"


async def test_a_started_run_says_what_it_is(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, 1)
    assert (run.status, run.output, run.remaining_steps) == (RunStatus.STARTED, None, 2)
    assert (run.started_at.tzinfo is not None, run.completed_at, run.failed_at, run.steps) == (True, None, None, ())


async def test_a_model_is_an_input(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, Person(name="Ada", born=datetime(1815, 12, 10, tzinfo=UTC)))
    assert run.input == {"name": "Ada", "born": "1815-12-10T00:00:00Z"}


async def test_a_dataclass_is_an_input(greeter: Any) -> None:
    assert (await greeter.start_flow(greeting, Point(1, 2.5))).input == {"x": 1, "y": 2.5}


async def test_a_run_id_can_be_chosen(greeter: Any) -> None:
    run_id = uuid4()
    assert (await greeter.start_flow(greeting, 1, run_id=run_id)).run_id == run_id


async def test_a_run_id_is_used_once(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    with pytest.raises(InvalidInput, match=f"run id {run.run_id} is already in use"):
        await greeter.start_flow(greeting, 2, run_id=run.run_id)
    assert await count_runs(greeter, workbench) == 1


@pytest.mark.feature("B1.2")
@pytest.mark.parametrize("slug", ["unknown", "", "Greeting", "a)b", "ü", "'; drop schema pgflow", "x" * 500])
async def test_a_flow_that_is_not_there_is_named(greeter: Any, slug: str) -> None:
    with pytest.raises(FlowNotFound) as raised:
        await greeter.start_flow(slug, {})
    assert raised.value.flow_slug == slug


@pytest.mark.parametrize("slug", ["a\0b", "a\ud800b"])
async def test_a_slug_that_is_no_text_is_refused(greeter: Any, slug: str) -> None:
    with pytest.raises(InvalidInput, match="a flow slug can't contain"):
        await greeter.start_flow(slug, {})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"a": [float("nan")]}, r"\$\.a\[0\]: nan is no JSON number"),
        (float("-inf"), r"\$: -inf is no JSON number"),
        ({"a": "x\0y"}, r"\$\.a: the text holds a NUL"),
        ({"x\0y": 1}, "the text holds a NUL"),
        (["\ud800"], r"\$\[0\]: the text holds a lone surrogate"),
        (circular(), "the value contains itself"),
        ({"a": object()}, r"\$\.a: object can't be stored as JSON"),
        ({"a": b"\xff"}, r"\$\.a: the bytes are no UTF-8"),
        ({1: 1, "1": 2}, "become the same text"),
    ],
)
async def test_what_json_cannot_hold_is_refused_with_its_place(
    greeter: Any, workbench: Workbench, value: Any, problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        await greeter.start_flow(greeting, value)
    assert await count_runs(greeter, workbench) == 0


async def test_a_number_larger_than_postgresql_holds_is_refused(greeter: Any, workbench: Workbench) -> None:
    too_large = 1 << 450_000
    for call in (greeter.start_flow(greeting, too_large), greeter.count_runs(input_contains=too_large)):
        with pytest.raises(InvalidInput, match="PostgreSQL refused the value: value overflows numeric format"):
            await call
    assert await count_runs(greeter, workbench) == 0


@pytest.mark.feature("A5.12")
@pytest.mark.parametrize("value", [None, {}, "text", 3])
async def test_a_root_map_takes_an_array_only(client: Any, value: Any) -> None:
    await client.ensure_compiled(each)
    with pytest.raises(InvalidInput, match=r"has root map steps but input is not an array .*; pass a JSON array"):
        await client.start_flow(each, value)


async def test_a_run_without_tasks_is_completed_when_it_is_started(client: Any) -> None:
    await client.ensure_compiled(each)
    run = await client.start_flow(each, [])
    assert (run.status, run.output) == (RunStatus.COMPLETED, {"double": []})


async def test_many_runs_are_in_the_order_of_their_inputs(greeter: Any) -> None:
    runs = await greeter.start_flows(greeting, range(50))
    assert [run.input for run in runs] == list(range(50))
    assert len({run.run_id for run in runs}) == 50


async def test_falsy_inputs_of_many_runs_survive(greeter: Any) -> None:
    values = [0, False, "", None, [], {}]
    assert [run.input for run in await greeter.start_flows("greeting", values)] == values


async def test_no_inputs_are_no_runs(greeter: Any) -> None:
    assert await greeter.start_flows(greeting, []) == []


async def test_many_runs_are_started_or_none(client: Any, workbench: Workbench) -> None:
    await client.ensure_compiled(each)
    with pytest.raises(InvalidInput, match="not an array"):
        await client.start_flows(each, [[1], 2, [3]])
    assert await count_runs(client, workbench) == 0


async def test_one_bad_input_refuses_all(greeter: Any, workbench: Workbench) -> None:
    with pytest.raises(InvalidInput, match="nan"):
        await greeter.start_flows(greeting, [1, float("nan")])
    assert await count_runs(greeter, workbench) == 0


async def test_many_runs_of_a_flow_that_is_not_there_are_refused(greeter: Any) -> None:
    with pytest.raises(FlowNotFound, match="'unknown' is not in the database; register it with `pgflow compile APP`"):
        await greeter.start_flows("unknown", [1, 2])
