"""What differs between two shapes, in words."""

from __future__ import annotations

from typing import Any

import pytest

from sql.engine import Connection, as_json, value

UNDEFINED = {"defined": False}
UNDEFINED_TEXT = '{"defined": false}'
ACTIVE = {"defined": True, "value": {"status": "active"}}
ACTIVE_TEXT = '{"value": {"status": "active"}, "defined": true}'


def differences(connection: Connection, first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    found = value(connection, "select pgflow._compare_flow_shapes(%s, %s)", as_json(first), as_json(second))
    assert isinstance(found, list)
    return found


def shape_of(slug: str = "a", /, **keys: object) -> dict[str, Any]:
    """Describe a flow of one step; the slug may be among the keys."""
    return {"steps": [{"slug": slug, "stepType": "single", "dependencies": [], **keys}]}


def test_equal_shapes_have_no_differences(connection: Connection) -> None:
    assert differences(connection, shape_of(), shape_of()) == []


@pytest.mark.parametrize("empty", [{}, {"steps": []}])
def test_a_shape_without_steps_equals_an_empty_list(connection: Connection, empty: dict[str, Any]) -> None:
    assert differences(connection, {}, empty) == []
    assert differences(connection, empty, {"steps": []}) == []


def test_options_are_ignored(connection: Connection) -> None:
    first = {**shape_of(options={"timeout": 1}), "options": {"timeout": 2}}
    assert differences(connection, first, shape_of()) == []


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ({"slug": "a"}, {"slug": "b"}, "slug differs 'a' vs 'b'"),
        ({"stepType": "map"}, {"stepType": "single"}, "type differs 'map' vs 'single'"),
        ({"dependencies": ["y", "x"]}, {"dependencies": ["x"]}, "dependencies differ [x, y] vs [x]"),
        ({"dependencies": []}, {"dependencies": ["x"]}, "dependencies differ [] vs [x]"),
        ({"whenUnmet": "fail"}, {"whenUnmet": "skip"}, "whenUnmet differs 'fail' vs 'skip'"),
        ({"whenExhausted": "fail"}, {"whenExhausted": "skip"}, "whenExhausted differs 'fail' vs 'skip'"),
        (
            {"requiredInputPattern": ACTIVE},
            {"requiredInputPattern": UNDEFINED},
            f"requiredInputPattern differs '{ACTIVE_TEXT}' vs '{UNDEFINED_TEXT}'",
        ),
        (
            {},
            {"forbiddenInputPattern": ACTIVE},
            f"forbiddenInputPattern differs '{UNDEFINED_TEXT}' vs '{ACTIVE_TEXT}'",
        ),
    ],
)
def test_a_difference_of_a_step_reads(
    connection: Connection, first: dict[str, Any], second: dict[str, Any], text: str
) -> None:
    found = differences(connection, shape_of(**first), shape_of(**second))
    assert found == [f"Step at index 0: {text}"]


def test_all_differences_of_a_step_come_in_a_fixed_order(connection: Connection) -> None:
    first = {"slug": "a", "stepType": "map", "dependencies": ["x"], "whenUnmet": "fail", "whenExhausted": "fail"}
    second = {"slug": "b", "stepType": "single", "dependencies": [], "whenUnmet": "skip", "whenExhausted": "skip"}
    patterns = {"requiredInputPattern": ACTIVE, "forbiddenInputPattern": ACTIVE}
    found = differences(connection, {"steps": [{**first, **patterns}]}, {"steps": [second]})
    assert [text.removeprefix("Step at index 0: ").split()[0] for text in found] == [
        "slug",
        "type",
        "dependencies",
        "whenUnmet",
        "whenExhausted",
        "requiredInputPattern",
        "forbiddenInputPattern",
    ]


def test_differences_come_position_by_position(connection: Connection) -> None:
    first = {"steps": [{"slug": "a", "stepType": "map"}, {"slug": "b", "stepType": "map"}]}
    second = {"steps": [{"slug": "x", "stepType": "single"}, {"slug": "y", "stepType": "single"}]}
    assert differences(connection, first, second) == [
        "Step at index 0: slug differs 'a' vs 'x'",
        "Step at index 0: type differs 'map' vs 'single'",
        "Step at index 1: slug differs 'b' vs 'y'",
        "Step at index 1: type differs 'map' vs 'single'",
    ]


def test_more_than_ten_positions_stay_in_order(connection: Connection) -> None:
    steps = [{"slug": f"s{index}"} for index in range(12)]
    found = differences(connection, {"steps": steps}, {})
    assert found[0] == "Step count differs: 12 vs 0"
    assert found[1:] == [f"Step at index {i}: missing in second shape (first has 's{i}')" for i in range(12)]


def test_steps_only_in_the_second_are_missing_in_the_first(connection: Connection) -> None:
    second = {"steps": [{"slug": "a"}, {"slug": "b"}]}
    assert differences(connection, shape_of("a"), second) == [
        "Step count differs: 1 vs 2",
        "Step at index 1: missing in first shape (second has 'b')",
    ]


def test_the_order_of_dependencies_does_not_matter(connection: Connection) -> None:
    assert differences(connection, shape_of(dependencies=["x", "y"]), shape_of(dependencies=["y", "x"])) == []


@pytest.mark.parametrize("key", ["stepType", "whenUnmet", "whenExhausted"])
def test_a_key_that_only_one_side_has_is_not_compared(connection: Connection, key: str) -> None:
    first = {"steps": [{"slug": "a", key: "anything"}]}
    assert differences(connection, first, {"steps": [{"slug": "a"}]}) == []
    assert differences(connection, {"steps": [{"slug": "a"}]}, first) == []


@pytest.mark.parametrize("key", ["requiredInputPattern", "forbiddenInputPattern"])
def test_a_pattern_that_is_absent_is_not_defined(connection: Connection, key: str) -> None:
    assert differences(connection, shape_of(), shape_of(**{key: UNDEFINED})) == []
    assert differences(connection, shape_of(**{key: UNDEFINED}), shape_of()) == []


def test_a_stored_flow_equals_the_shape_it_was_made_from(connection: Connection) -> None:
    described = {"steps": [{"slug": "a"}, {"slug": "m", "stepType": "map", "dependencies": ["a"]}]}
    connection.execute("select pgflow._create_flow_from_shape('flow', %s)", (as_json(described),))
    query = "select pgflow._compare_flow_shapes(%s, pgflow._get_flow_shape('flow'))"
    assert value(connection, query, as_json(described)) == []
