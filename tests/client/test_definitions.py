"""Looking at definitions, deleting them, and options that code and database disagree about."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from client.flows import each, greeting
from pgflow import Flow, FlowNotFound, InvalidInput, RunNotFound

full = Flow("full", max_attempts=7, base_delay=2, timeout=9)


@full.step(max_attempts=2, timeout=3, start_delay=1, if_={"a": [1]}, when_unmet="fail", when_exhausted="skip")
def first(given: Any) -> Any: ...


@full.map(over=first, base_delay=0, when_exhausted="skip-cascade")
def second(element: Any) -> Any: ...


@full.step(if_not={"first": {}})
def third(second: Any, first: Any) -> Any: ...


@pytest.mark.feature("A1.17")
async def test_flows_are_listed_by_slug(client: Any) -> None:
    assert await client.list_flows() == []
    for flow in (greeting, each):
        await client.ensure_compiled(flow)
    assert [flow.slug for flow in await client.list_flows()] == ["each", "greeting"]


@pytest.mark.feature("A1.18", "B6.8")
@pytest.mark.parametrize("named", [full, "full"])
async def test_a_flow_of_the_database_is_the_one_that_was_compiled(client: Any, named: Any) -> None:
    await client.ensure_compiled(full)
    found = await client.get_flow(named)
    assert (found.slug, found.options) == ("full", {"max_attempts": 7, "base_delay": 2, "timeout": 9})
    declared = full.flow_shape.steps
    assert [(step.slug, step.step_type, set(step.dependencies), step.options) for step in found.steps] == [
        (step.slug, step.step_type, set(step.dependencies), step.options) for step in declared
    ]
    assert [(step.required_input_pattern, step.forbidden_input_pattern) for step in found.steps] == [
        ({"a": [1]}, None),
        (None, None),
        (None, {"first": {}}),
    ]
    assert [step.when_exhausted for step in found.steps] == ["skip", "skip-cascade", "fail"]
    assert abs((datetime.now(UTC) - found.created_at).total_seconds()) < 60


@pytest.mark.feature("A1.18")
@pytest.mark.parametrize("slug", ["unknown", "", "Greeting", "ü", "x" * 500])
async def test_a_flow_that_is_not_there_is_not_found(greeter: Any, slug: str) -> None:
    assert await greeter.flow_exists(slug) is False
    with pytest.raises(FlowNotFound) as raised:
        await greeter.get_flow(slug)
    assert raised.value.flow_slug == slug


@pytest.mark.feature("A1.10", "A2.8")
@pytest.mark.parametrize("named", [greeting, "greeting"])
async def test_whether_a_flow_exists_is_told(client: Any, named: Any) -> None:
    assert await client.flow_exists(named) is False
    await client.ensure_compiled(greeting)
    assert await client.flow_exists(named) is True


@pytest.mark.feature("A1.9", "A2.6", "B1.9")
@pytest.mark.parametrize("named", [greeting, "greeting"])
async def test_a_deleted_flow_is_gone_with_its_runs_and_its_queue(
    greeter: Any, shared_connection: psycopg.Connection[Any], named: Any
) -> None:
    run = await greeter.start_flow(greeting, 1)
    assert await greeter.delete_flow(named) is None
    assert not await greeter.flow_exists(greeting)
    with pytest.raises(RunNotFound):
        await greeter.get_run(run.run_id)
    assert shared_connection.execute("select count(*) from pgmq.list_queues()").fetchone() == (0,)


async def test_deleting_a_flow_that_is_not_there_is_no_error(greeter: Any) -> None:
    await greeter.delete_flow("unknown")
    await greeter.delete_flow("Greeting")
    assert await greeter.flow_exists(greeting)


@pytest.mark.parametrize("slug", [None, 5, b"greeting", "a\0b", "\ud800", ["greeting"]])
async def test_what_is_no_slug_is_refused_by_every_call(client: Any, slug: Any) -> None:
    for call in (client.flow_exists, client.get_flow, client.delete_flow):
        with pytest.raises(InvalidInput, match="a flow slug"):
            await call(slug)


@pytest.mark.feature("A2.18", "C1.3")
@pytest.mark.parametrize(
    ("slug", "valid"),
    [
        ("a", True),
        ("_a9", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("run", False),
        ("", False),
        ("9a", False),
        ("a-b", False),
        ("ü", False),
        (None, False),
        (5, False),
    ],
)
async def test_slugs_follow_the_rule_of_the_database(
    client: Any, shared_connection: psycopg.Connection[Any], slug: Any, valid: bool
) -> None:
    assert client.valid_slug(slug) is valid
    if isinstance(slug, str):
        assert shared_connection.execute("select pgflow.is_valid_slug(%s)", (slug,)).fetchone() == (valid,)


@pytest.mark.feature("B4.2", "E2.14")
async def test_options_that_differ_are_a_warning_and_the_database_counts(
    client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await client.ensure_compiled(full)
    other = Flow("full", max_attempts=8, base_delay=2, timeout=9)
    other.step(max_attempts=2, timeout=4, if_={"a": [1]}, when_unmet="fail", when_exhausted="skip")(first)
    other.map(over=first, base_delay=0, when_exhausted="skip-cascade")(second)
    other.step(if_not={"first": {}})(third)
    with caplog.at_level(logging.WARNING, "pgflow.client"):
        assert await client.ensure_compiled(other) == "verified"
    assert caplog.messages == [
        "flow full: option max_attempts is 8 in the code, 7 in the database; the database counts",
        "flow full: option of step 'first': timeout is 4 in the code, 3 in the database; the database counts",
        "flow full: option of step 'first': start_delay is not set in the code, 1 in the database; the database counts",
    ]
    assert (await client.get_flow("full")).max_attempts == 7


async def test_equal_options_are_no_warning(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    for status in ("compiled", "verified"):
        assert await client.ensure_compiled(full) == status
    assert caplog.messages == []
