"""One task, executed without a worker."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from pgflow import Context, Flow, InvalidInput, StepNotFound
from pgflow.execution import build_context, execute, get_handler, prepare_input, serialize_error, serialize_output
from pgflow.types import StartedTask

RUN = UUID(int=1)

flow = Flow("flow")


@flow.step
def first(order: int) -> int:
    return order + 1


@flow.step
async def second(first: int, ctx: Context) -> list[Any]:
    return [first, ctx.step_slug, ctx.attempt]


@flow.map(over=second)
def third(element: Any) -> Any:
    if element == "bad":
        raise RuntimeError("no good")
    return element


@flow.step
async def slow() -> None:
    await asyncio.Event().wait()


@flow.step
def unserializable() -> object:
    return object()


def task(step_slug: str, given: Any = None, flow_input: Any = None) -> StartedTask:
    return StartedTask("flow", RUN, step_slug, 0, {} if given is None else given, flow_input, 1, 2, 3, 60)


@pytest.mark.feature("A3.1", "A3.2", "A4.5", "A4.6", "A4.19")
@pytest.mark.parametrize(
    ("given", "output"),
    [
        (task("first", flow_input=1), b"2"),
        (task("second", {"first": 2}), b'[2,"second",2]'),
        (task("third", "good"), b'"good"'),
        (task("third", 0), b"0"),
    ],
    ids=["root", "dependent", "map", "falsy"],
)
async def test_a_task_gives_its_output(given: StartedTask, output: bytes) -> None:
    report = await execute(flow, given)
    assert (report.output, report.error_message, report.attempt) == (output, None, 2)


@pytest.mark.feature("A3.1", "A3.6", "A4.8", "A4.10")
@pytest.mark.parametrize(
    ("given", "error"),
    [
        (task("third", "bad"), "RuntimeError: no good"),
        (task("slow"), "Task timed out after 1s"),
        (task("first", flow_input="x"), "InvalidInput: order: Input should be a valid integer"),
        (task("unserializable"), "InvalidInput: $: object can't be stored as JSON"),
        (task("unknown"), "StepNotFound: no step 'unknown'"),
    ],
    ids=["raises", "slow", "invalid", "unserializable", "unknown"],
)
async def test_a_task_that_fails_gives_its_error(given: StartedTask, error: str) -> None:
    report = await execute(flow, given, timeout=1)
    assert report.output is None
    assert (report.error_message or "").startswith(error)


@pytest.mark.feature("A3.3", "A4.7")
async def test_a_context_is_that_of_its_task() -> None:
    context = build_context(task("second"))
    found = (context.run_id, context.flow_slug, context.step_slug, context.task_index, context.attempt)
    assert found == (RUN, "flow", "second", 0, 2)
    assert context.max_attempts == 3
    assert not context.shutting_down


@pytest.mark.feature("A3.4")
def test_a_step_has_its_handler_and_others_have_none() -> None:
    assert get_handler(flow, "first") is first
    with pytest.raises(StepNotFound, match="No handler defined for step: nonexistent"):
        get_handler(flow, "nonexistent")


@pytest.mark.feature("A3.5")
def test_the_input_depends_on_the_definition_and_not_on_the_data() -> None:
    assert prepare_input(flow, task("first", {"surprise": 1}, flow_input=5)) == {"order": 5}
    assert prepare_input(flow, task("third", {"first": 1}), flow_input=9) == {"element": {"first": 1}}
    context = build_context(task("second"))
    assert prepare_input(flow, task("second", {"first": 3}), context) == {"first": 3, "ctx": context}
    with pytest.raises(InvalidInput, match="first: step 'first' was skipped"):
        prepare_input(flow, task("second", {}, flow_input=5))
    with pytest.raises(StepNotFound):
        prepare_input(flow, task("unknown"))


@pytest.mark.feature("A3.7", "E3.4")
@pytest.mark.parametrize(("value", "text"), [(None, b"null"), (0, b"0"), (False, b"false"), ("", b'""'), ([], b"[]")])
def test_falsy_outputs_are_outputs(value: Any, text: bytes) -> None:
    assert serialize_output(value) == text


@pytest.mark.feature("A3.7")
@pytest.mark.parametrize("value", [float("nan"), "\0", object(), {1: 1, "1": 1}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        serialize_output(value)


@pytest.mark.feature("A3.8")
@pytest.mark.parametrize(
    ("error", "text"),
    [("as it is", "as it is"), (ValueError("why"), "ValueError: why"), (KeyError(), "KeyError"), ([1], "[1]")],
)
def test_errors_become_texts(error: object, text: str) -> None:
    assert serialize_error(error) == text
