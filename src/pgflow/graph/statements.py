"""The SQL that registers a flow."""

from __future__ import annotations

from collections.abc import Iterator

from pgflow.graph.differences import jsonb_text
from pgflow.graph.shape import FlowShape, Pattern, StepShape


def to_sql(shape: FlowShape) -> list[str]:
    """Return the statements that register a flow, ready for psql or a migration: the flow, then each of its steps."""
    statements = [_create_flow(shape), *(_add_step(shape.slug, step) for step in shape.steps)]
    if shape.flow_type != "flow":
        statements.append(_call("set_flow_type", [_literal(shape.slug), _literal(shape.flow_type)]))
    return statements


def _create_flow(shape: FlowShape) -> str:
    return _call("create_flow", [_literal(shape.slug), *_named(shape.options)])


def _add_step(flow_slug: str, step: StepShape) -> str:
    return _call("add_step", [_literal(flow_slug), _literal(step.slug), *_step_arguments(step)])


def _step_arguments(step: StepShape) -> Iterator[str]:
    if step.dependencies:
        yield f"ARRAY[{', '.join(map(_literal, step.dependencies))}]"
    yield from _named(step.options)
    if step.step_type != "single":
        yield f"step_type => {_literal(step.step_type)}"
    if step.required_input_pattern is not None:
        yield f"required_input_pattern => {_jsonb(step.required_input_pattern)}"
    if step.forbidden_input_pattern is not None:
        yield f"forbidden_input_pattern => {_jsonb(step.forbidden_input_pattern)}"
    if step.when_unmet is not None:
        yield f"when_unmet => {_literal(step.when_unmet)}"
    if step.when_exhausted != "fail":
        yield f"when_exhausted => {_literal(step.when_exhausted)}"


def _call(name: str, arguments: list[str]) -> str:
    return f"SELECT pgflow.{name}({', '.join(arguments)});"


def _named(options: dict[str, int]) -> list[str]:
    return [f"{name} => {value}" for name, value in options.items()]


def _jsonb(pattern: Pattern) -> str:
    return f"{_literal(jsonb_text(pattern))}::jsonb"


def _literal(text: str) -> str:
    """Quote a text so that it means the same whatever `standard_conforming_strings` is."""
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f"E{quoted}" if "\\" in text else quoted
