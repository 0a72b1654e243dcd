"""An input that a flow would take, as a beginning for people who start their first run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter

from pgflow.flow import Flow
from pgflow.serialize import encode
from pgflow.types import Json

_DEEPEST = 8
_PLAIN: dict[str, Json] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None, "object": {}}
_FORMATS: dict[str, Json] = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com",
    "uuid": "6f1c1c0e-0000-4000-8000-000000000000",
}


def sample_input(flow: Flow) -> str:
    """Return JSON text that the flow's input type takes; `{}` where nothing is known of it or can't be found."""
    for adapter, is_element in _input_types(flow):
        with suppress(Exception):  # a type that JSON Schema can't say, or a rule that the sample breaks
            schema = adapter.json_schema()
            value = _of(schema, schema.get("$defs", {}), 0)
            adapter.validate_json(encode(value))
            return encode([value] if is_element else value).decode()
    return "{}"


def _input_types(flow: Flow) -> Iterator[tuple[TypeAdapter[Any], bool]]:
    """Yield what the flow, or else its root steps, say about the input, and whether it is about each element of it."""
    if flow.input_type is not None:
        yield flow.input_type, False
    for step in flow.steps.values():
        if not step.shape.dependencies and step.binding.input_type is not None:
            yield step.binding.input_type, step.shape.step_type == "map"


def _of(schema: dict[str, Any], definitions: dict[str, Any], depth: int) -> Json:
    if depth > _DEEPEST:
        return None
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "$ref" in schema:
        return _of(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _of(schema[key][0], definitions, depth + 1)
    return _of_kind(schema, definitions, depth)


def _of_kind(schema: dict[str, Any], definitions: dict[str, Any], depth: int) -> Json:
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return [_of(item, definitions, depth + 1) for item in schema["prefixItems"]]
        case "array":
            return [_of(schema["items"], definitions, depth + 1)] if schema.get("items") else []
        case "object" if "properties" in schema:
            required = schema.get("required", [])
            properties = schema["properties"]
            return {name: _of(properties[name], definitions, depth + 1) for name in properties if name in required}
        case "string" if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        case str() as kind:
            return schema.get("minimum", _PLAIN.get(kind, {}))
        case _:
            return {}
