"""A flow as a module in TypeScript, whose handlers are still to be written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pgflow.graph.shape import FlowShape, StepShape, camel_case
from pgflow.types import Json

_INDENT: Final = "  "
_LONGEST_OBJECT: Final = 75
_LARGEST_INTEGER: Final = 2**53 - 1
_LEAST: Final = {"base_delay": 1, "timeout": 3}

# Words that can't name a constant in a module, and what the module imports.
_RESERVED_WORDS: Final = """
    Flow Json arguments await break case catch class const continue debugger default delete do else enum eval export
    extends false finally for function if implements import in instanceof interface let new null package private
    protected public return static super switch this throw true try typeof var void while with yield
"""
_RESERVED: Final = frozenset(_RESERVED_WORDS.split())

# What every object of JavaScript has: the DSL takes a step of this name for one that is there already.
_INHERITED_NAMES: Final = """
    constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf
"""
_INHERITED: Final = frozenset(_INHERITED_NAMES.split())


def to_typescript(shapes: Iterable[FlowShape]) -> str:
    """Return a module for `@pgflow/dsl` that exports these flows, the first one as default too.

    Their steps have the names, dependencies and options; each handler throws until it is written.
    """
    names: dict[str, str] = {}
    for shape in shapes:
        names[_name(shape.slug, names)] = _flow(shape)
    exports = [f"export const {name} = {flow};\n" for name, flow in names.items()]
    default = [f"export default {name};\n" for name in list(names)[:1]]
    return "\n".join(["import { Flow, type Json } from '@pgflow/dsl';\n", *exports, *default])


def typescript_problems(shape: FlowShape) -> list[str]:
    """Return what the DSL refuses of a flow that is fine here, in words for the one who declared it."""
    found = [f"flow {shape.slug!r}: {text}" for text in _refusals(shape.slug, shape.options)]
    for step in shape.steps:
        found += [f"step {step.slug!r}: {text}" for text in _refusals(step.slug, step.options)]
        if step.slug in _INHERITED:
            found.append(f"step {step.slug!r}: every object of JavaScript has something of this name")
        for pattern in (step.required_input_pattern, step.forbidden_input_pattern):
            found += [f"step {step.slug!r}: {text}" for text in _inexact_numbers(pattern)]
    return found


def _refusals(slug: str, options: Mapping[str, int]) -> Iterator[str]:
    if slug.startswith("_"):
        yield "a slug must not begin with an underscore there"
    for option, least in _LEAST.items():
        if options.get(option, least) < least:
            yield f"{option} must be {least} or more there, not {options[option]}"


def _inexact_numbers(value: Json) -> Iterator[str]:
    match value:
        case int() if abs(value) > _LARGEST_INTEGER:
            yield f"a condition holds {value}, which JavaScript would round"
        case Mapping():
            for part in value.values():
                yield from _inexact_numbers(part)
        case list() | tuple():
            for part in value:
                yield from _inexact_numbers(part)


def _name(slug: str, taken: Iterable[str]) -> str:
    while slug in _RESERVED or slug in taken:
        slug += "_"
    return slug


def _flow(shape: FlowShape) -> str:
    has_root_map = any(step.step_type == "map" and not step.dependencies for step in shape.steps)
    mapped = {step.dependencies[0] for step in shape.steps if step.step_type == "map" and step.dependencies}
    options = _object({"slug": shape.slug, **_options(shape.options)})
    steps = "".join(_step(step, is_array=step.slug in mapped) for step in shape.steps)
    return f"new Flow<{'Json[]' if has_root_map else 'Json'}>({options}){steps}"


def _step(step: StepShape, *, is_array: bool) -> str:
    method = "map" if step.step_type == "map" else "array" if is_array else "step"
    result = "Json[]" if method == "array" else "Json"
    argument = "item" if method == "map" else "input" if not step.dependencies else "deps"
    return (
        f"\n{_INDENT}.{method}({_object(dict(_arguments(step)), _INDENT)}, async ({argument}): Promise<{result}> => {{"
        f"\n{_INDENT * 2}throw new Error({_literal(f'the handler of {step.slug} is still to be written')});"
        f"\n{_INDENT}}})"
    )


def _arguments(step: StepShape) -> Iterator[tuple[str, Json]]:
    yield "slug", step.slug
    if step.dependencies and step.step_type == "map":
        yield "array", step.dependencies[0]
    elif step.dependencies:
        yield "dependsOn", list(step.dependencies)
    yield from _options(step.options).items()
    if step.required_input_pattern is not None:
        yield "if", dict(step.required_input_pattern)
    if step.forbidden_input_pattern is not None:
        yield "ifNot", dict(step.forbidden_input_pattern)
    if step.when_unmet is not None:
        yield "whenUnmet", step.when_unmet
    if step.when_exhausted != "fail":
        yield "whenExhausted", step.when_exhausted


def _object(fields: Mapping[str, Json], indent: str = "") -> str:
    """Return an object's text, on several lines where it is long."""
    parts = [f"{name}: {_literal(value)}" for name, value in fields.items()]
    line = f"{{ {', '.join(parts)} }}"
    if len(line) <= _LONGEST_OBJECT:
        return line
    return "{\n" + "".join(f"{indent}{_INDENT}{part},\n" for part in parts) + f"{indent}}}"


def _literal(value: Json) -> str:
    match value:
        case str():
            escaped = json.dumps(value, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
            return f"'{escaped}'"
        case list() | tuple():
            return f"[{', '.join(map(_literal, value))}]"
        case dict():
            return (
                f"{{ {', '.join(f'{_key(key)}: {_literal(each)}' for key, each in value.items())} }}" if value else "{}"
            )
        case _:
            return json.dumps(value)


def _key(key: str) -> str:
    """Return a key as text: computed where it would set the prototype."""
    return f"[{_literal(key)}]" if key == "__proto__" else _literal(key)


def _options(options: Mapping[str, int]) -> dict[str, int]:
    return {camel_case(name): value for name, value in options.items()}
