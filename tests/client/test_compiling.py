"""Registering flows, and comparing them with those registered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from client.flows import greeting
from client.workbench import Workbench
from pgflow import DefinitionError, Flow, FlowShapeMismatch, RunNotFound


def changed(**options: Any) -> Flow:
    flow = Flow("greeting", max_attempts=1, base_delay=0, timeout=60)

    @flow.step(**options)
    def name(person: Any) -> Any:
        return person

    return flow


@pytest.mark.feature("A2.2")
async def test_a_new_flow_is_compiled_and_then_verified(client: Any) -> None:
    assert await client.ensure_compiled(greeting) == "compiled"
    assert await client.ensure_compiled(greeting) == "verified"
    assert await client.compile(greeting) == "verified"


async def test_of_many_who_compile_at_once_one_does(client: Any) -> None:
    answers = await asyncio.gather(*(client.ensure_compiled(greeting) for _ in range(6)))
    assert sorted(answers) == ["compiled", *["verified"] * 5]


async def test_other_options_are_no_difference(client: Any) -> None:
    await client.ensure_compiled(changed())
    assert await client.ensure_compiled(changed(max_attempts=7, timeout=9)) == "verified"


async def test_a_changed_flow_is_refused_with_the_differences(greeter: Any, workbench: Workbench) -> None:
    run = await greeter.start_flow(greeting, 1)
    with pytest.raises(FlowShapeMismatch) as raised:
        await greeter.ensure_compiled(changed())
    assert raised.value.flow_slug == "greeting"
    assert len(raised.value.differences) >= 1
    assert "greet" in " ".join(raised.value.differences)
    assert (await greeter.get_run(run.run_id)).status == "started"


async def test_the_refusal_says_both_ways_out(greeter: Any) -> None:
    with pytest.raises(FlowShapeMismatch, match=r"new slug, or delete .*allow_data_loss=True, or `pgflow compile APP"):
        await greeter.ensure_compiled(changed())


async def test_with_allow_data_loss_the_flow_is_registered_anew_without_its_runs(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, 1)
    assert await greeter.ensure_compiled(changed(), allow_data_loss=True) == "recompiled"
    assert await greeter.ensure_compiled(changed()) == "verified"
    with pytest.raises(RunNotFound):
        await greeter.get_run(run.run_id)


async def test_allow_data_loss_deletes_nothing_where_nothing_has_changed(greeter: Any) -> None:
    run = await greeter.start_flow(greeting, 1)
    assert await greeter.ensure_compiled(greeting, allow_data_loss=True) == "verified"
    assert (await greeter.get_run(run.run_id)).run_id == run.run_id


async def test_a_flow_without_steps_is_refused(client: Any, workbench: Workbench) -> None:
    with pytest.raises(DefinitionError, match="step"):
        await client.ensure_compiled(Flow("empty"))
    assert workbench.connection.execute("select count(*) from pgflow.flows").fetchone() == (0,)


@pytest.mark.feature("A1.1")
async def test_the_version_of_the_contract_is_told(client: Any) -> None:
    assert client.core_version() == "0.14.1"
