"""`0, False, "", None, [], {}` are values like any other, wherever they go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pgflow import Flow, PgFlow
from pgflow.types import Json
from worker.running import query, worked

FALSY: list[Json] = [0, False, "", None, [], {}]


def exact(value: object) -> str:
    """JSON text, in which False isn't 0."""
    return json.dumps(value)


@pytest.mark.parametrize("value", FALSY, ids=repr)
async def test_a_falsy_value_survives_every_hop_between_untyped_handlers(app: PgFlow, value: Json) -> None:
    flow = Flow("untyped")
    seen: list[Any] = []

    @flow.step
    def start(given):  # type: ignore[no-untyped-def]
        seen.append(given)
        return given

    @flow.step
    async def leaf(start, flow_input):  # type: ignore[no-untyped-def]
        seen.extend([start, flow_input])
        return start

    @flow.step(depends_on=[start])
    def every(deps):  # type: ignore[no-untyped-def]
        return deps

    run = await worked(app, flow, value)
    assert exact(seen) == exact([value] * 3)
    assert exact(run.output) == exact({"leaf": value, "every": {"start": value}})


@pytest.mark.parametrize(
    ("value", "kind"),
    list(zip(FALSY, (int, bool, str, None, list[int], dict[str, int]), strict=True)),
    ids=[repr(value) for value in FALSY],
)
async def test_a_falsy_value_survives_every_hop_between_typed_handlers(app: PgFlow, value: Json, kind: Any) -> None:
    flow = Flow("typed")

    def start(given: Any) -> Any:
        return given

    def leaf(start: Any) -> Any:
        return start

    start.__annotations__ = {"given": kind, "return": kind}
    leaf.__annotations__ = {"start": kind, "return": kind}
    flow.step(start)
    flow.step(leaf)
    assert exact((await worked(app, flow, value)).output) == exact({"leaf": value})


async def test_falsy_elements_survive_a_map(app: PgFlow, url: str) -> None:
    flow = Flow("elements")

    @flow.map
    def same(element):  # type: ignore[no-untyped-def]
        return element

    @flow.map(over=same)
    async def again(element):  # type: ignore[no-untyped-def]
        return element

    @flow.step
    def collected(same, again):  # type: ignore[no-untyped-def]
        return [same, again]

    run = await worked(app, flow, FALSY)
    outputs = query(url, "select output::text from pgflow.step_tasks where step_slug = 'again' order by task_index")
    assert [row["output"] for row in outputs] == [exact(value) for value in FALSY]
    assert exact(run.output) == exact({"collected": [FALSY, FALSY]})
