"""Reading the shape of a stored flow, and making a flow from a shape."""

from __future__ import annotations

from typing import Any

import pytest

from sql.engine import FLOW, Connection, as_json, create_flow, define, has_queue, row, step, value

UNDEFINED = {"defined": False}


def shape(connection: Connection, flow: str = FLOW) -> dict[str, Any]:
    found = value(connection, "select pgflow._get_flow_shape(%s)", flow)
    assert isinstance(found, dict)
    return found


def compile_shape(connection: Connection, described: dict[str, Any], flow: str = FLOW) -> None:
    connection.execute("select pgflow._create_flow_from_shape(%s, %s)", (flow, as_json(described)))


def shape_of(slug: str, **keys: object) -> dict[str, object]:
    """Describe a step as `_get_flow_shape` does."""
    return {
        "slug": slug,
        "stepType": "single",
        "dependencies": [],
        "whenUnmet": "skip",
        "whenExhausted": "fail",
        "requiredInputPattern": UNDEFINED,
        "forbiddenInputPattern": UNDEFINED,
        **keys,
    }


WHOLE = {
    "steps": [
        shape_of("z", requiredInputPattern={"defined": True, "value": {"x": [None, {}]}}),
        shape_of("m", stepType="map", dependencies=["z"], whenExhausted="skip"),
        shape_of("a", dependencies=["m", "z"], whenUnmet="skip-cascade", whenExhausted="skip-cascade"),
        shape_of("b", whenUnmet="fail", forbiddenInputPattern={"defined": True, "value": {}}),
    ]
}


def test_the_shape_of_an_unknown_flow_has_no_steps(connection: Connection) -> None:
    assert shape(connection) == {"steps": []}


def test_the_shape_of_a_flow_without_steps_has_none(connection: Connection) -> None:
    create_flow(connection)
    assert shape(connection) == {"steps": []}


def test_the_shape_of_a_step_has_seven_keys(connection: Connection) -> None:
    define(connection, "a")
    assert shape(connection) == {"steps": [shape_of("a")]}


def test_options_are_no_part_of_the_shape(connection: Connection) -> None:
    define(connection, step("a", timeout=1, max_attempts=2, base_delay=3, start_delay=4), timeout=9)
    assert shape(connection) == {"steps": [shape_of("a")]}


def test_steps_come_in_the_order_of_definition(connection: Connection) -> None:
    define(connection, "c", "a", "b")
    assert [found["slug"] for found in shape(connection)["steps"]] == ["c", "a", "b"]


def test_dependencies_are_sorted(connection: Connection) -> None:
    define(connection, "c", "a", "b", "d < c b a")
    assert shape(connection)["steps"][3]["dependencies"] == ["a", "b", "c"]


@pytest.mark.parametrize("pattern", [{}, {"x": {"y": [1, None]}}])
def test_patterns_are_wrapped(connection: Connection, pattern: dict[str, object]) -> None:
    define(connection, step("a", required_input_pattern=pattern))
    assert shape(connection)["steps"][0]["requiredInputPattern"] == {"defined": True, "value": pattern}


def test_a_shape_that_is_compiled_reads_back_the_same(connection: Connection) -> None:
    compile_shape(connection, WHOLE)
    assert shape(connection) == WHOLE


def test_a_compiled_flow_has_a_queue(connection: Connection) -> None:
    compile_shape(connection, WHOLE)
    assert has_queue(connection)


def test_a_shape_without_conditions_compiles_with_defaults(connection: Connection) -> None:
    compile_shape(connection, {"steps": [{"slug": "a", "stepType": "single", "dependencies": []}]})
    assert shape(connection) == {"steps": [shape_of("a")]}


def test_a_step_that_has_only_a_slug_compiles(connection: Connection) -> None:
    compile_shape(connection, {"steps": [{"slug": "a"}]})
    assert shape(connection) == {"steps": [shape_of("a")]}


def test_a_shape_without_steps_compiles(connection: Connection) -> None:
    compile_shape(connection, {})
    assert shape(connection) == {"steps": []}


def test_a_pattern_that_is_not_defined_is_none_whatever_its_value(connection: Connection) -> None:
    compile_shape(connection, {"steps": [{"slug": "a", "requiredInputPattern": {"defined": False, "value": {"x": 1}}}]})
    assert value(connection, "select required_input_pattern from pgflow.steps") is None


def test_options_of_the_flow_that_are_given_are_stored_and_others_are_the_default(connection: Connection) -> None:
    compile_shape(connection, {"steps": [], "options": {"maxAttempts": 7}})
    stored = row(connection, "select opt_max_attempts, opt_base_delay, opt_timeout from pgflow.flows")
    assert tuple(stored.values()) == (7, 5, 60)


def test_all_options_of_the_flow_are_stored(connection: Connection) -> None:
    compile_shape(connection, {"steps": [], "options": {"maxAttempts": 0, "baseDelay": 0, "timeout": 1}})
    stored = row(connection, "select opt_max_attempts, opt_base_delay, opt_timeout from pgflow.flows")
    assert tuple(stored.values()) == (0, 0, 1)


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({}, (None, None, None, None)),
        ({"timeout": 9}, (None, None, 9, None)),
        ({"maxAttempts": 1, "baseDelay": 0, "timeout": 3, "startDelay": 4}, (1, 0, 3, 4)),
    ],
)
def test_options_of_a_step_that_are_not_given_are_inherited(
    connection: Connection, options: dict[str, int], stored: tuple[int | None, ...]
) -> None:
    compile_shape(connection, {"steps": [{"slug": "a", "options": options}]})
    query = "select opt_max_attempts, opt_base_delay, opt_timeout, opt_start_delay from pgflow.steps"
    assert tuple(row(connection, query).values()) == stored
