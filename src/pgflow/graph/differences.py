"""How two shapes differ, in the contract's words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from pgflow.graph.shape import FlowShape, to_json
from pgflow.types import Json

_UNDEFINED: Final = {"defined": False}


def differences(first: FlowShape | Mapping[str, Json], second: FlowShape | Mapping[str, Json]) -> list[str]:
    """Return the differences of two shapes, position by position; options aren't compared.

    Shapes are given as values or as the contract's plain data, as `pgflow._compare_flow_shapes` takes them.
    """
    first_steps, second_steps = _steps(first), _steps(second)
    found = []
    if len(first_steps) != len(second_steps):
        found.append(f"Step count differs: {len(first_steps)} vs {len(second_steps)}")
    for index in range(max(len(first_steps), len(second_steps))):
        place = f"Step at index {index}: "
        found += [place + text for text in _at(first_steps[index : index + 1], second_steps[index : index + 1])]
    return found


def option_differences(code: FlowShape, database: FlowShape) -> list[str]:
    """Return the options that differ between a flow in the code and the same one in the database."""
    registered = {step.slug: step for step in database.steps}
    found = [f"option {text}" for text in _option_texts(code.options, database.options)]
    for step in code.steps:
        if step.slug in registered:
            texts = _option_texts(step.options, registered[step.slug].options)
            found += [f"option of step {step.slug!r}: {text}" for text in texts]
    return found


def jsonb_text(value: Json) -> str:
    """Return the text that PostgreSQL shows for a value as jsonb: keys by length, then bytes; plain numbers."""
    match value:
        case Mapping():
            keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
            return "{" + ", ".join(f"{_quoted(key)}: {jsonb_text(value[key])}" for key in keys) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(jsonb_text, value)) + "]"
        case float():
            return format(Decimal(repr(value)), "f")
        case _:
            return _quoted(value)


def _option_texts(code: Mapping[str, int], database: Mapping[str, int]) -> Iterator[str]:
    for name in dict.fromkeys((*code, *database)):
        if code.get(name) != database.get(name):
            yield f"{name} is {_shown(code.get(name))} in the code, {_shown(database.get(name))} in the database"


def _shown(value: int | None) -> str:
    return "not set" if value is None else str(value)


def _steps(shape: FlowShape | Mapping[str, Json]) -> list[dict[str, Any]]:
    plain = to_json(shape) if isinstance(shape, FlowShape) else shape
    return list(plain.get("steps") or ())


def _at(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> Iterator[str]:
    if not first:
        yield f"missing in first shape (second has '{second[0]['slug']}')"
    elif not second:
        yield f"missing in second shape (first has '{first[0]['slug']}')"
    else:
        yield from _step_differences(first[0], second[0])


def _step_differences(first: dict[str, Any], second: dict[str, Any]) -> Iterator[str]:
    yield from _word_difference("slug", "slug", first, second)
    yield from _word_difference("stepType", "type", first, second)
    dependencies = sorted(first.get("dependencies") or ()), sorted(second.get("dependencies") or ())
    if dependencies[0] != dependencies[1]:
        yield f"dependencies differ [{', '.join(dependencies[0])}] vs [{', '.join(dependencies[1])}]"
    yield from _word_difference("whenUnmet", "whenUnmet", first, second)
    yield from _word_difference("whenExhausted", "whenExhausted", first, second)
    yield from _pattern_difference("requiredInputPattern", first, second)
    yield from _pattern_difference("forbiddenInputPattern", first, second)


def _word_difference(key: str, name: str, first: dict[str, Any], second: dict[str, Any]) -> Iterator[str]:
    if key in first and key in second and first[key] != second[key]:
        yield f"{name} differs '{first[key]}' vs '{second[key]}'"


def _pattern_difference(key: str, first: dict[str, Any], second: dict[str, Any]) -> Iterator[str]:
    one, other = first.get(key, _UNDEFINED), second.get(key, _UNDEFINED)
    if _comparable(one) != _comparable(other):
        yield f"{key} differs '{jsonb_text(one)}' vs '{jsonb_text(other)}'"


def _comparable(value: Json) -> Any:
    """Return a value that compares as jsonb does: 1 equals 1.0, but neither equals true."""
    match value:
        case bool():
            return ("boolean", value)
        case Mapping():
            return {key: _comparable(part) for key, part in value.items()}
        case list() | tuple():
            return [_comparable(part) for part in value]
        case float():
            return Decimal(repr(value))
        case _:
            return value


def _quoted(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
