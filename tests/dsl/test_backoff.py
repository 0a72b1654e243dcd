"""Delays between attempts, where a flow has more to say about them than the formula."""

from __future__ import annotations

from typing import Any

import pytest

from pgflow import DefinitionError, Flow, StepNotFound
from pgflow.backoff import LONGEST_DELAY


def retrying_flow(step_options: dict[str, Any] | None = None, **options: Any) -> Flow:
    flow = Flow("retrying", **options)

    @flow.step(**(step_options or {}))
    def step(value: int) -> int:
        return value

    return flow


def delays(flow: Flow, attempts: int = 6) -> list[int | None]:
    return [flow.retry_delay("step", attempt) for attempt in range(1, attempts + 1)]


def test_without_options_the_formula_of_the_database_holds() -> None:
    assert delays(retrying_flow(base_delay=5)) == [None] * 6


@pytest.mark.feature("A5.22")
def test_delays_double_up_to_the_longest() -> None:
    assert delays(retrying_flow(base_delay=1, max_delay=20)) == [2, 4, 8, 16, 20, 20]


def test_delays_of_a_step_start_from_its_own_base() -> None:
    assert delays(retrying_flow({"base_delay": 3}, base_delay=1, max_delay=20)) == [6, 12, 20, 20, 20, 20]


def test_options_of_a_step_override_those_of_its_flow_one_by_one() -> None:
    flow = retrying_flow({"max_delay": 5}, base_delay=1, max_delay=20, jitter=0)
    assert delays(flow) == [2, 4, 5, 5, 5, 5]


def test_a_step_may_have_no_delay_at_all() -> None:
    assert delays(retrying_flow({"max_delay": 0})) == [0] * 6


@pytest.mark.feature("A5.22")
@pytest.mark.parametrize("jitter", [0.25, 1])
def test_jitter_shortens_delays_by_at_most_its_share(jitter: float) -> None:
    flow = retrying_flow(base_delay=500, jitter=jitter)
    found = {flow.retry_delay("step", 1) or 0 for _ in range(200)}
    assert len(found) > 20
    assert 1000 * (1 - jitter) <= min(found)
    assert max(found) <= 1000


@pytest.mark.parametrize("attempt", [31, 32, 1_000_000])
def test_no_delay_is_longer_than_the_database_takes(attempt: int) -> None:
    flow = retrying_flow(base_delay=LONGEST_DELAY, max_delay=LONGEST_DELAY)
    assert flow.retry_delay("step", attempt) == LONGEST_DELAY


def test_an_unknown_step_has_no_delay() -> None:
    with pytest.raises(StepNotFound):
        retrying_flow().retry_delay("other", 1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_delay": -1}, "max_delay must be from 0 to 2147483647, not -1"),
        ({"max_delay": 2**31}, "max_delay must be from 0 to 2147483647, not 2147483648"),
        ({"max_delay": 1.5}, "max_delay must be an integer, not 1.5"),
        ({"max_delay": True}, "max_delay must be an integer, not True"),
        ({"jitter": 2}, "jitter must be from 0 to 1, not 2"),
        ({"jitter": -0.1}, "jitter must be from 0 to 1, not -0.1"),
        ({"jitter": float("nan")}, "jitter must be from 0 to 1, not nan"),
        ({"jitter": "0.5"}, "jitter must be a number from 0 to 1, not '0.5'"),
        ({"jitter": True}, "jitter must be a number from 0 to 1, not True"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(DefinitionError) as of_flow:
        retrying_flow(**options)
    assert of_flow.value.problems == (f"flow 'retrying': {problem}",)
    with pytest.raises(DefinitionError) as of_step:
        retrying_flow(options)
    assert of_step.value.problems == (f"step 'step': {problem}",)


def test_delays_are_no_part_of_the_shape() -> None:
    assert retrying_flow({"jitter": 1}, max_delay=5).shape == retrying_flow().shape
