"""Values that can't be stored, or aren't what a handler takes: the task fails and says where, the worker lives on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from pgflow import Flow, PgFlow
from worker.running import ended, error_of, query, task, worked, working


def circle() -> dict[str, Any]:
    value: dict[str, Any] = {"a": []}
    value["a"].append(value)
    return value


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(500):
        value = [value]
    return value


async def forgotten() -> None:
    """A coroutine that nobody awaits."""


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "NUL": (lambda: {"pages": ["fine", "bad\0"]}, "$.pages[1]: the text holds a NUL character"),
    "NaN": (lambda: {"mean": math.nan}, "$.mean: nan is no JSON number"),
    "infinity": (lambda: [1, -math.inf], "$[1]: -inf is no JSON number"),
    "surrogate": (lambda: {"a b": "\ud800"}, '$["a b"]: the text holds a lone surrogate'),
    "key": (lambda: {"x": {"\0": 1}}, "$.x: key"),
    "circle": (circle, "$.a[0]: the value contains itself"),
    "unknown": (lambda: {"it": [object()]}, "$.it[0]: object can't be stored as JSON"),
    "deep": (deep, "nested deeper than 254 levels"),
    "large": (lambda: {"meta": 1, "body": "x" * 10_000_000}, "the largest part is $.body (9.5 MB)"),
    "coroutine": (forgotten, "$: coroutine can't be stored as JSON"),
}


def picky_flow(make: Callable[[], Any]) -> Flow:
    """A flow whose handler returns a bad value for True and a good one for False."""
    flow = Flow("picky", max_attempts=2, base_delay=0)

    @flow.step
    def answer(bad):  # type: ignore[no-untyped-def]
        return make() if bad else "good"

    return flow


@pytest.mark.feature("A5.25")
@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
async def test_an_output_that_cannot_be_stored_fails_the_task(
    app: PgFlow, url: str, make: Callable[[], Any], message: str
) -> None:
    flow = picky_flow(make)
    async with working(app, flow):
        run = await ended(app, flow, True)
        assert run.status == "failed"
        assert message in error_of(run)
        assert (task(url)["status"], task(url)["attempts_count"]) == ("failed", 2)
        assert (await ended(app, flow, False)).output == {"answer": "good"}


async def test_an_output_of_another_type_than_declared_fails_the_task(app: PgFlow) -> None:
    flow = Flow("typed", max_attempts=1)

    @flow.step
    def answer(value: Any) -> dict[str, int]:
        return {"a": 1, "b": "many"}  # type: ignore[dict-item]

    run = await worked(app, flow, None)
    assert "output.b: " in error_of(run)
    assert "valid integer" in error_of(run)


async def test_an_input_of_another_type_names_parameter_and_field(app: PgFlow) -> None:
    flow = Flow("typed", max_attempts=1)

    @flow.step
    def answer(orders: list[dict[str, int]]) -> int:
        raise AssertionError("the handler must not run")

    run = await worked(app, flow, [{"a": 1}, {"b": "many"}])
    assert "orders[1].b: " in error_of(run)


async def test_a_single_output_where_a_map_needs_an_array_fails_the_run(app: PgFlow) -> None:
    flow = Flow("scalar")

    @flow.step
    def numbers(value):  # type: ignore[no-untyped-def]
        return value

    @flow.map(over=numbers)
    def same(element: int) -> int:
        return element

    run = await worked(app, flow, 5)
    assert run.status == "failed"
    assert "numbers" in error_of(run)
    assert "TYPE_VIOLATION" in error_of(run)


@pytest.mark.parametrize(
    "poison", ["repeat('[', 2000) || repeat(']', 2000)", "repeat('9', 5000)"], ids=["too deep", "too many digits"]
)
async def test_an_input_that_python_cannot_hold_fails_its_own_task_only(app: PgFlow, url: str, poison: str) -> None:
    flow = Flow("poison", max_attempts=1)

    @flow.step
    def answer(value):  # type: ignore[no-untyped-def]
        return value

    await app.ensure_compiled(flow)
    query(url, f"select pgflow.start_flow('poison', ({poison})::jsonb)")
    async with working(app, flow):
        assert (await ended(app, flow, "fine")).status == "completed"
        (poisoned,) = query(url, "select * from pgflow.step_tasks where error_message is not null")
    assert poisoned["status"] == "failed"
    assert "JSON" in poisoned["error_message"]


async def test_a_step_that_this_worker_does_not_know_fails_with_a_clear_error(app: PgFlow, url: str) -> None:
    flow = Flow("older", max_attempts=1)

    @flow.step
    def known(value: int) -> int:
        return value

    async with working(app, flow):
        query(url, "select pgflow.add_step('older', 'newer', array['known'])")
        run = await ended(app, flow, 1)
    assert error_of(run) == "StepNotFound: no step 'newer'; steps: known"
