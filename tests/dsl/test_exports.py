"""The texts that describe a flow in other languages; `tests/interop` runs them."""

from __future__ import annotations

from typing import Any

import pytest

from pgflow.graph import FlowShape, StepShape, to_elixir, to_typescript, typescript_problems

SHAPE = FlowShape(
    "order_check",
    (
        StepShape("orders", timeout=5),
        StepShape("check", "map", ("orders",), max_attempts=1, when_exhausted="skip-cascade"),
        StepShape("report", dependencies=("check",), required_input_pattern={"check": []}, when_unmet="fail"),
    ),
)

TYPESCRIPT = """\
import { Flow, type Json } from '@pgflow/dsl';

export const order_check = new Flow<Json>({ slug: 'order_check', maxAttempts: 3, baseDelay: 1, timeout: 60 })
  .array({ slug: 'orders', timeout: 5 }, async (input): Promise<Json[]> => {
    throw new Error('the handler of orders is still to be written');
  })
  .map({
    slug: 'check',
    array: 'orders',
    maxAttempts: 1,
    whenExhausted: 'skip-cascade',
  }, async (item): Promise<Json> => {
    throw new Error('the handler of check is still to be written');
  })
  .step({
    slug: 'report',
    dependsOn: ['check'],
    if: { 'check': [] },
    whenUnmet: 'fail',
  }, async (deps): Promise<Json> => {
    throw new Error('the handler of report is still to be written');
  });

export default order_check;
"""

ELIXIR = """\
defmodule MyApp.Flows.OrderCheck do
  use PgFlow.Flow

  @flow slug: :order_check, max_attempts: 3, base_delay: 1, timeout: 60

  step :orders, timeout: 5 do
    fn _input, _ctx ->
      raise "the handler of orders is still to be written"
    end
  end

  map :check, array: :orders, max_attempts: 1, when_exhausted: :skip_cascade do
    fn _item, _ctx ->
      raise "the handler of check is still to be written"
    end
  end

  step :report, depends_on: [:check], if: %{"check" => []}, when_unmet: :fail do
    fn _deps, _ctx ->
      raise "the handler of report is still to be written"
    end
  end
end
"""


def test_a_flow_is_written_in_typescript() -> None:
    assert to_typescript([SHAPE]) == TYPESCRIPT


def test_a_flow_is_written_in_elixir() -> None:
    assert to_elixir([SHAPE]) == ELIXIR


def test_names_that_are_words_of_typescript_or_taken_get_an_underscore() -> None:
    text = to_typescript([FlowShape(slug, (StepShape("a"),)) for slug in ("default", "default_", "Flow", "plain")])
    assert [line.split()[2] for line in text.splitlines() if line.startswith("export const")] == [
        "default_",
        "default__",
        "Flow_",
        "plain",
    ]
    assert text.endswith("export default default_;\n")


def test_modules_of_elixir_have_names_of_their_own() -> None:
    text = to_elixir([FlowShape(slug, (StepShape("a"),)) for slug in ("a_b", "aB", "_", "_1", "class")])
    assert [line.split()[1] for line in text.splitlines() if line.startswith("defmodule")] == [
        "MyApp.Flows.AB",
        "MyApp.Flows.AB_",
        "MyApp.Flows.Flow",
        "MyApp.Flows.Flow1",
        "MyApp.Flows.Class",
    ]


def test_what_is_fine_here_is_fine_in_typescript() -> None:
    assert typescript_problems(SHAPE) == []


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (FlowShape("_a"), "flow '_a': a slug must not begin with an underscore there"),
        (FlowShape("a", base_delay=0), "flow 'a': base_delay must be 1 or more there, not 0"),
        (FlowShape("a", timeout=2), "flow 'a': timeout must be 3 or more there, not 2"),
        (FlowShape("a", (StepShape("_s"),)), "step '_s': a slug must not begin with an underscore there"),
        (FlowShape("a", (StepShape("s", base_delay=0),)), "step 's': base_delay must be 1 or more there, not 0"),
        (FlowShape("a", (StepShape("s", timeout=1),)), "step 's': timeout must be 3 or more there, not 1"),
        (FlowShape("a", (StepShape("toString"),)), "step 'toString': every object of JavaScript has something"),
        (
            FlowShape("a", (StepShape("s", required_input_pattern={"a": [{"b": -(2**53)}]}),)),
            "step 's': a condition holds -9007199254740992, which JavaScript would round",
        ),
        (
            FlowShape("a", (StepShape("s", forbidden_input_pattern={"a": 10**20}),)),
            "step 's': a condition holds 100000000000000000000, which JavaScript would round",
        ),
    ],
)
def test_what_typescript_refuses_is_told(shape: FlowShape, problem: Any) -> None:
    (found,) = typescript_problems(shape)
    assert found.startswith(problem)


def test_all_that_typescript_refuses_is_told_at_once() -> None:
    shape = FlowShape("_a", (StepShape("_s", timeout=1), StepShape("valueOf")), base_delay=0)
    assert len(typescript_problems(shape)) == 5
