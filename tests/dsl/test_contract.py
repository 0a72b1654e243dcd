"""The graph's plain forms, held against the SQL that reads them."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg.rows import DictRow

from pgflow.graph import FlowShape, StepShape, differences, is_valid_slug, to_json, to_sql

AWKWARD = {"it's": ["\\", '"', "grün", 1.50, 1e20, 10**20, None, True], "a": {"bb": 1, "aaa": {}}, "": 0}
SHAPE = FlowShape(
    "analyse",
    (
        StepShape("website", timeout=5, start_delay=0),
        StepShape("summary", dependencies=("website",), required_input_pattern=AWKWARD, when_unmet="skip-cascade"),
        StepShape("check", "map", ("website",), base_delay=0, max_attempts=1, when_exhausted="skip"),
        StepShape("save", dependencies=("summary", "check"), forbidden_input_pattern=AWKWARD, when_unmet="fail"),
    ),
    base_delay=0,
)

Connection = psycopg.Connection[DictRow]


def stored(connection: Connection) -> dict[str, object]:
    row = connection.execute("select pgflow._get_flow_shape('analyse') as shape").fetchone()
    assert row is not None
    shape: dict[str, object] = row["shape"]
    return shape


def compared_in_sql(connection: Connection, first: object, second: object) -> list[str]:
    row = connection.execute(
        "select pgflow._compare_flow_shapes(%s::jsonb, %s::jsonb) as found", (json.dumps(first), json.dumps(second))
    ).fetchone()
    assert row is not None
    found: list[str] = row["found"]
    return found


@pytest.mark.feature("A4.13")
def test_the_statements_register_the_flow(connection: Connection) -> None:
    for statement in to_sql(SHAPE):
        connection.execute(statement)
    assert differences(SHAPE, stored(connection)) == []


def test_the_statements_mean_the_same_without_standard_strings(connection: Connection) -> None:
    connection.execute("set local standard_conforming_strings = off")
    connection.execute("set local escape_string_warning = off")
    for statement in to_sql(SHAPE):
        connection.execute(statement)
    assert differences(SHAPE, stored(connection)) == []


@pytest.mark.feature("A4.3")
def test_the_plain_form_registers_the_flow_with_its_options(connection: Connection) -> None:
    connection.execute("select pgflow.ensure_flow_compiled('analyse', %s::jsonb)", (json.dumps(to_json(SHAPE)),))
    assert differences(SHAPE, stored(connection)) == []
    flow = connection.execute("select * from pgflow.flows where flow_slug = 'analyse'").fetchone()
    assert flow is not None
    assert (flow["opt_max_attempts"], flow["opt_base_delay"], flow["opt_timeout"]) == (3, 0, 60)
    steps = connection.execute("select * from pgflow.steps order by step_index").fetchall()
    assert [(step["opt_timeout"], step["opt_start_delay"], step["opt_max_attempts"]) for step in steps[:3]] == [
        (5, 0, None),
        (None, None, None),
        (None, None, 1),
    ]


OTHERS = [
    FlowShape("analyse", SHAPE.steps[:2]),
    FlowShape("analyse", SHAPE.steps[::-1]),
    FlowShape("analyse", (*SHAPE.steps, StepShape("more"))),
    FlowShape("analyse", tuple(StepShape(step.slug) for step in SHAPE.steps)),
    FlowShape(
        "analyse",
        (
            StepShape("website", required_input_pattern={"n": 0.5, "m": 1e16}),
            StepShape("summary", "map", ("website",), forbidden_input_pattern={}, when_exhausted="skip-cascade"),
        ),
    ),
]


@pytest.mark.parametrize("other", OTHERS)
def test_differences_are_told_as_the_database_tells_them(connection: Connection, other: FlowShape) -> None:
    assert differences(SHAPE, other) == compared_in_sql(connection, to_json(SHAPE), to_json(other))
    assert differences(other, SHAPE) == compared_in_sql(connection, to_json(other), to_json(SHAPE))


@pytest.mark.parametrize("slug", ["a", "_1", "Run", "run", "", "1a", "a-b", "ä", "a\n", "٣", "x" * 128, "x" * 129])
def test_slugs_are_valid_as_in_the_database(connection: Connection, slug: str) -> None:
    row = connection.execute("select pgflow.is_valid_slug(%s) as valid", (slug,)).fetchone()
    assert row is not None
    assert is_valid_slug(slug) is row["valid"]
