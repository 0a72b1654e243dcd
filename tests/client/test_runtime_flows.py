"""Flows that are plain data: registered, refused with codes, worked by handlers out of a registry."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pgflow import Context, DefinitionError, FlowNotFound, FlowShapeMismatch, PgFlow, RunNotFound, StepSpec, Worker

ONE_STEP: list[StepSpec] = [{"slug": "send"}]
TWO_STEPS: list[StepSpec] = [{"slug": "send"}, {"slug": "log", "deps": ["send"]}]


@pytest.mark.feature("A1.8", "A2.17", "B1.5")
async def test_a_flow_is_registered_with_the_defaults(client: Any) -> None:
    assert await client.upsert_flow("tenant_7", TWO_STEPS) == "compiled"
    found = await client.get_flow("tenant_7")
    assert found.options == {"max_attempts": 3, "base_delay": 1, "timeout": 60}
    assert [(step.slug, step.dependencies) for step in found.steps] == [("send", ()), ("log", ("send",))]


@pytest.mark.feature("B1.6", "A2.2")
async def test_all_options_of_steps_arrive(client: Any) -> None:
    steps = [
        {"slug": "a", "max_attempts": 1, "base_delay": 0, "timeout": 5, "start_delay": 0, "step_type": "single"},
        {"slug": "b", "depends_on": ["a"], "step_type": "map", "when_exhausted": "skip_cascade"},
        {"slug": "c", "if": {"x": 1}, "if_not": {"y": [None]}, "when_unmet": "skip-cascade"},
        {"slug": "d", "if_": {}, "when_unmet": None, "deps": None},
    ]
    await client.upsert_flow("full", steps, max_attempts=9, base_delay=0, timeout=1)
    a, b, c, d = (await client.get_flow("full")).steps
    assert a.options == {"max_attempts": 1, "base_delay": 0, "timeout": 5, "start_delay": 0}
    assert (b.step_type, b.dependencies, b.when_exhausted) == ("map", ("a",), "skip-cascade")
    assert (c.required_input_pattern, c.forbidden_input_pattern) == ({"x": 1}, {"y": [None]})
    assert (c.when_unmet, d.when_unmet, d.required_input_pattern) == ("skip-cascade", "skip", {})


async def test_steps_may_be_given_in_any_order(client: Any) -> None:
    steps = [{"slug": "c", "deps": ["b", "a"]}, {"slug": "b", "deps": ["a"]}, {"slug": "a"}]
    await client.upsert_flow("tenant_7", steps)
    assert [step.slug for step in (await client.get_flow("tenant_7")).steps] == ["a", "b", "c"]


@pytest.mark.feature("A1.8", "A2.17")
async def test_a_flow_that_exists_is_replaced_with_its_runs(client: Any) -> None:
    await client.upsert_flow("tenant_7", ONE_STEP)
    run = await client.start_flow("tenant_7", 1)
    assert await client.upsert_flow("tenant_7", ONE_STEP) == "recompiled"
    with pytest.raises(RunNotFound):
        await client.get_run(run.run_id)


@pytest.mark.feature("E2.31")
async def test_an_equal_flow_is_kept_with_its_runs_where_that_is_wished(client: Any) -> None:
    await client.upsert_flow("tenant_7", ONE_STEP)
    run = await client.start_flow("tenant_7", 1)
    new = [{"slug": "send", "timeout": 7}]
    assert await client.upsert_flow("tenant_7", new, max_attempts=5, on_conflict="if_changed") == "verified"
    found = await client.get_flow("tenant_7")
    assert (found.max_attempts, found.steps[0].timeout) == (5, 7)
    assert (await client.get_run(run.run_id)).status == "started"
    assert await client.upsert_flow("tenant_7", TWO_STEPS, on_conflict="if_changed") == "recompiled"


@pytest.mark.feature("E2.31")
async def test_a_changed_flow_is_refused_where_that_is_wished(client: Any) -> None:
    assert await client.upsert_flow("tenant_7", ONE_STEP, on_conflict="error") == "compiled"
    assert await client.upsert_flow("tenant_7", ONE_STEP, timeout=5, on_conflict="error") == "verified"
    with pytest.raises(FlowShapeMismatch, match="Step count differs: 2 vs 1"):
        await client.upsert_flow("tenant_7", TWO_STEPS, on_conflict="error")
    found = await client.get_flow("tenant_7")
    assert (len(found.steps), found.timeout) == (1, 5)


@pytest.mark.parametrize("answer", ["replace", "", None, True])
async def test_another_answer_to_conflicts_is_refused(client: Any, answer: Any) -> None:
    with pytest.raises(ValueError, match="on_conflict must be 'recreate', 'if_changed' or 'error'"):
        await client.upsert_flow("tenant_7", ONE_STEP, on_conflict=answer)


@pytest.mark.feature("B1.8")
async def test_of_many_who_register_at_once_all_succeed(client: Any) -> None:
    answers = await asyncio.gather(*(client.upsert_flow("tenant_7", TWO_STEPS) for _ in range(6)))
    assert sorted(answers) == ["compiled", *["recompiled"] * 5]
    assert len((await client.get_flow("tenant_7")).steps) == 2


async def test_a_slug_that_differs_by_case_is_refused(client: Any) -> None:
    await client.upsert_flow("tenant_7", ONE_STEP)
    with pytest.raises(DefinitionError, match="differs only by case; choose a slug") as raised:
        await client.upsert_flow("Tenant_7", ONE_STEP)
    assert raised.value.codes == ("invalid_slug",)


def steps_with(**changes: Any) -> list[dict[str, Any]]:
    return [{"slug": "a"}, {"slug": "b", **changes}]


@pytest.mark.feature("B1.7")
@pytest.mark.parametrize(
    ("code", "steps"),
    [
        ("steps_required", []),
        ("steps_required", iter(())),
        ("steps_must_be_list", None),
        ("steps_must_be_list", "send"),
        ("steps_must_be_list", {"slug": "send"}),
        ("steps_must_be_list", 5),
        ("invalid_step", ["send"]),
        ("invalid_step", [None]),
        ("step_slug_required", [{}]),
        ("step_slug_required", [{"slug": ""}]),
        ("step_slug_required", [{"slug": None}]),
        ("invalid_step_slug", [{"slug": "run"}]),
        ("invalid_step_slug", [{"slug": 5}]),
        ("invalid_step_slug", [{"slug": "a\0"}]),
        ("invalid_step_slug", [{"slug": "a" * 129}]),
        ("invalid_step_slug", [{"slug": ["a"]}]),
        ("duplicate_step", [{"slug": "a"}, {"slug": "a"}]),
        ("invalid_step_deps", steps_with(deps="a")),
        ("invalid_step_deps", steps_with(deps={"a": 1})),
        ("invalid_step_dep", steps_with(deps=[5])),
        ("invalid_step_dep", steps_with(deps=[["a"]])),
        ("invalid_step_dep_slug", steps_with(deps=["a b"])),
        ("unknown_dependency", steps_with(deps=["c"])),
        ("duplicate_dep", steps_with(deps=["a", "a"])),
        ("cycle", steps_with(deps=["b"])),
        ("cycle", [{"slug": "a", "deps": ["b"]}, {"slug": "b", "deps": ["a"]}]),
        ("invalid_step_type", steps_with(step_type="many")),
        ("invalid_step_type", steps_with(step_type=["map"])),
        ("too_many_map_deps", [*steps_with(), {"slug": "c", "step_type": "map", "deps": ["a", "b"]}]),
        ("invalid_option", steps_with(timeout=0)),
        ("invalid_option", steps_with(timeout=2**31)),
        ("invalid_option", steps_with(max_attempts="3")),
        ("invalid_option", steps_with(start_delay=-1)),
        ("invalid_option", steps_with(base_delay=float("nan"))),
        ("invalid_option", steps_with(max_attempts=True)),
        ("invalid_condition_pattern", [{"slug": "a", "if": [1]}]),
        ("invalid_condition_pattern", [{"slug": "a", "if_not": {"x": float("nan")}}]),
        ("invalid_condition_pattern", [{"slug": "a", "if": {"x": "\0"}}]),
        ("when_unmet_requires_condition", steps_with(when_unmet="fail")),
        ("invalid_condition_mode", [{"slug": "a", "if": {}, "when_unmet": "maybe"}]),
        ("invalid_condition_mode", steps_with(when_exhausted=5)),
        ("unknown_key", steps_with(handler="send")),
        ("unknown_key", steps_with(deps=["a"], depends_on=["a"])),
    ],
)
async def test_a_mistake_has_its_code(client: Any, code: str, steps: Any) -> None:
    with pytest.raises(DefinitionError) as raised:
        await client.upsert_flow("tenant_7", steps)
    assert raised.value.codes == (code,)
    assert not await client.flow_exists("tenant_7")


@pytest.mark.feature("B1.7")
@pytest.mark.parametrize("slug", ["", "run", "a-b", "9", "a" * 48, None, 5, "a\0"])
async def test_a_slug_that_cannot_be_has_its_code(client: Any, slug: Any) -> None:
    with pytest.raises(DefinitionError) as raised:
        await client.upsert_flow(slug, ONE_STEP)
    assert raised.value.codes == ("invalid_slug",)


async def test_all_mistakes_are_listed_with_their_places(client: Any) -> None:
    steps = [{"slug": "a", "timeout": 0}, {"slug": "b", "deps": ["c", 5]}]
    with pytest.raises(DefinitionError) as raised:
        await client.upsert_flow("no good", steps, base_delay=-1)
    assert list(zip(raised.value.codes, raised.value.problems, strict=True)) == [
        ("invalid_slug", "flow slug 'no good' may hold ASCII letters, digits and underscores only"),
        ("invalid_option", "base_delay must be from 0 to 2147483647, not -1"),
        ("invalid_option", "steps[0]: timeout must be from 1 to 2147483647, not 0"),
        ("unknown_dependency", "steps[1].deps[0]: 'c' is no step of the flow; known steps: a, b"),
        ("invalid_step_dep", "steps[1].deps[1] must be a slug, not 5"),
    ]


async def send(given: Any, ctx: Context) -> Any:
    return [ctx.flow_slug, ctx.step_slug, given]


def double(number: int) -> int:
    return 2 * number


def shout(deps: dict[str, Any]) -> str:
    return str(deps["send"]).upper()


@pytest.mark.feature("A1.8")
async def test_flows_of_the_database_are_worked_by_handlers_out_of_a_registry(shared_url: str) -> None:
    steps: list[StepSpec] = [
        {"slug": "send"},
        {"slug": "double", "step_type": "map"},
        {"slug": "log", "deps": ["send", "double"]},
    ]
    handlers = {"send": send, "double": double, "log": send, "tenant_8.log": shout}
    async with PgFlow(shared_url) as client:
        for slug in ("tenant_7", "tenant_8"):
            await client.upsert_flow(slug, steps)
        worker = Worker(client, [await client.load_flow(slug, handlers) for slug in ("tenant_7", "tenant_8")])
        await worker.start()
        seven, eight = [await client.start_flow_sync(slug, [1, 2], timeout=20) for slug in ("tenant_7", "tenant_8")]
        await worker.stop()
    sent = {"send": ["tenant_7", "send", [1, 2]], "double": [2, 4]}
    assert seven.output == {"log": ["tenant_7", "log", sent]}
    assert eight.output == {"log": "['TENANT_8', 'SEND', [1, 2]]"}


async def test_a_flow_that_is_not_there_is_not_loaded(client: Any) -> None:
    with pytest.raises(FlowNotFound):
        await client.load_flow("unknown", {})


async def test_steps_without_handlers_are_all_named(client: Any) -> None:
    await client.upsert_flow("tenant_7", [*TWO_STEPS, {"slug": "end"}])
    with pytest.raises(DefinitionError) as raised:
        await client.load_flow("tenant_7", {"send": send, "other": send})
    assert raised.value.problems == (
        "step 'log' has no handler; handlers: other, send",
        "step 'end' has no handler; handlers: other, send",
    )


async def test_a_handler_that_asks_for_what_its_step_does_not_get_is_refused(client: Any) -> None:
    def log(send: Any, end: Any) -> Any: ...

    await client.upsert_flow("tenant_7", [*TWO_STEPS, {"slug": "end"}])
    handlers = {"send": send, "log": log, "end": lambda: None}
    flow = await client.load_flow("tenant_7", handlers)
    assert flow.steps["log"].shape.dependencies == ("send",)


async def test_a_loaded_flow_is_the_one_in_the_database(
    client: Any, shared_connection: psycopg.Connection[Any]
) -> None:
    steps = [{"slug": "send", "if": {"a": 1}, "timeout": 5}, {"slug": "double", "step_type": "map", "deps": ["send"]}]
    await client.upsert_flow("tenant_7", steps, timeout=9)
    flow = await client.load_flow("tenant_7", {"send": send, "double": double})
    assert await client.ensure_compiled(flow) == "verified"
    assert flow.flow_shape.steps == (await client.get_flow("tenant_7")).steps
