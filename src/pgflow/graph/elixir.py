"""A flow as a module in Elixir, whose handlers are still to be written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from pgflow.graph.shape import FlowShape, StepShape
from pgflow.types import Json

_NAMESPACE: Final = "MyApp.Flows"


def to_elixir(shapes: Iterable[FlowShape]) -> str:
    """Return modules in the DSL of the Elixir implementation, one for each flow, or job.

    Their steps have the names, dependencies and options; each handler raises until it is written.
    """
    modules: dict[str, str] = {}
    for shape in shapes:
        name = _module_name(shape.slug, modules)
        modules[name] = _job(shape) if shape.flow_type == "job" else _flow(shape)
    return "\n".join(f"defmodule {_NAMESPACE}.{name} do\n{body}end\n" for name, body in modules.items())


def _module_name(slug: str, taken: Iterable[str]) -> str:
    name = "".join(word[0].upper() + word[1:] for word in slug.split("_") if word)
    if not name[:1].isalpha():
        name = f"Flow{name}"
    while name in taken:
        name += "_"
    return name


def _flow(shape: FlowShape) -> str:
    options = _keywords([("slug", _atom(shape.slug)), *shape.options.items()])
    steps = "".join(f"\n{_step(step)}" for step in shape.steps)
    return f"  use PgFlow.Flow\n\n  @flow {options}\n{steps}"


def _job(shape: FlowShape) -> str:
    options = _keywords([("queue", _atom(shape.slug)), *shape.options.items()])
    (step,) = shape.steps
    return f"  use PgFlow.Job\n\n  @job {options}\n\n  perform {_atom(step.slug)} do\n{_handler(step, 'input')}  end\n"


def _step(step: StepShape) -> str:
    argument = "item" if step.step_type == "map" else "deps" if step.dependencies else "input"
    macro = "map" if step.step_type == "map" else "step"
    options = _keywords(_arguments(step))
    head = f"{macro} {_atom(step.slug)}" + (f", {options}" if options else "")
    return f"  {head} do\n{_handler(step, argument)}  end\n"


def _handler(step: StepShape, argument: str) -> str:
    message = _literal(f"the handler of {step.slug} is still to be written")
    return f"    fn _{argument}, _ctx ->\n      raise {message}\n    end\n"


def _arguments(step: StepShape) -> Iterator[tuple[str, Json]]:
    if step.dependencies and step.step_type == "map":
        yield "array", _atom(step.dependencies[0])
    elif step.dependencies:
        yield "depends_on", [_atom(slug) for slug in step.dependencies]
    yield from step.options.items()
    if step.required_input_pattern is not None:
        yield "if", dict(step.required_input_pattern)
    if step.forbidden_input_pattern is not None:
        yield "if_not", dict(step.forbidden_input_pattern)
    if step.when_unmet is not None:
        yield "when_unmet", _mode(step.when_unmet)
    if step.when_exhausted != "fail":
        yield "when_exhausted", _mode(step.when_exhausted)


class _Atom(str):
    """A text that is written as an atom."""

    __slots__ = ()


def _atom(slug: str) -> _Atom:
    return _Atom(f":{slug}")


def _mode(mode: str) -> _Atom:
    return _atom(mode.replace("-", "_"))


def _keywords(options: Iterable[tuple[str, Json]]) -> str:
    return ", ".join(f"{name}: {_literal(value)}" for name, value in options)


def _literal(value: Json) -> str:
    match value:
        case _Atom():
            return value
        case str():
            return json.dumps(value, ensure_ascii=False).replace("#{", "\\#{")
        case None:
            return "nil"
        case float():
            digits, exponent, power = repr(value).partition("e")
            return (digits if "." in digits else f"{digits}.0") + exponent + power
        case list() | tuple():
            return f"[{', '.join(map(_literal, value))}]"
        case dict():
            return f"%{{{', '.join(f'{_literal(key)} => {_literal(each)}' for key, each in value.items())}}}"
        case _:
            return json.dumps(value)
