"""What is known about a handler before it runs: its function, its name, its parameters, what its annotations mean."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias, get_args, get_type_hints

Handler: TypeAlias = Callable[..., Any]

_CONTEXT_TEXT = re.compile(r"(?:\w+\.)*Context(?:\s*\|\s*None)?")


def is_async(handler: Handler) -> bool:
    """Whether a handler is `async def`: as a function, a method, a callable object or a partial of one of these."""
    return inspect.iscoroutinefunction(_called(handler))


def default_slug(handler: Handler) -> str | None:
    """Return the name of a function or method; None for what has no name of its own, such as lambdas and partials."""
    name = getattr(handler, "__name__", None)
    return name if isinstance(name, str) and name != "<lambda>" else None


def handler_problems(handler: object) -> list[str]:
    """Return why something can't be a handler; an empty list if it can."""
    if isinstance(handler, type):
        return [f"{handler.__name__} is a class; decorate a function, or pass an instance that can be called"]
    if not callable(handler):
        return [f"the handler {handler!r} can't be called; decorate a function, and give a slug as slug="]
    called = _called(handler)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        return ["the handler is a generator; return a list instead of yielding"]
    try:
        inspect.signature(handler)
    except (ValueError, TypeError):
        return [f"the parameters of {handler!r} can't be read; wrap it in a function"]
    return []


def function_of(found: Any) -> Any:
    """Return the function of a job, which bears its name in the module, and anything else as it is."""
    return getattr(found, "__pgflow_function__", found)


def is_importable(handler: Handler) -> bool:
    """Whether another process may be able to import the handler: a function that isn't defined inside another one."""
    return "<" not in getattr(handler, "__qualname__", "<")


def import_path(handler: Handler) -> str:
    """Return where another process finds a handler: `module:name`."""
    return f"{handler.__module__}:{handler.__qualname__}"


def import_problem(handler: Handler) -> str | None:
    """Return why another process can't import the handler, or None if it can. Modules must have been imported."""
    module = sys.modules.get(handler.__module__)
    found: object = module
    for name in handler.__qualname__.split("."):
        found = getattr(found, name, None)
    if function_of(found) is not handler:
        return f"{import_path(handler)} is something else; give the function a name of its own in its module"
    if handler.__module__ == "__main__" and not _has_source(module):
        return "other processes can't import what was typed in or piped; put the handler into a file"
    return None


def _has_source(module: object) -> bool:
    return getattr(module, "__spec__", None) is not None or Path(getattr(module, "__file__", None) or "/").is_file()


def parameters_of(handler: Handler) -> list[inspect.Parameter]:
    """Return the parameters that are left to fill; those that a partial has set by keyword are not."""
    filled = handler.keywords if isinstance(handler, functools.partial) else {}
    return [parameter for name, parameter in inspect.signature(handler).parameters.items() if name not in filled]


def return_annotation_of(handler: Handler) -> Any:
    """Return the annotation of the result as it was written, `inspect.Signature.empty` if there is none."""
    return inspect.signature(handler).return_annotation


def resolve(handler: Handler, annotation: Any) -> Any:
    """Return the type that an annotation of the handler stands for; texts are evaluated in the handler's module.

    Raises what the evaluation raises, mostly NameError.
    """
    holder = SimpleNamespace(__annotations__={"annotation": annotation})
    namespace = getattr(_function(handler), "__globals__", {})
    return get_type_hints(holder, namespace, {}, include_extras=True)["annotation"]


def is_context(handler: Handler, parameter: inspect.Parameter) -> bool:
    """Whether a parameter receives the context: it is called `ctx`, or annotated with the class Context.

    An annotation that can't be evaluated yet, as with imports for type checkers only, counts by its text.
    """
    annotation = parameter.annotation
    if parameter.name == "ctx":
        return True
    try:
        resolved = resolve(handler, annotation)
    except Exception:
        return isinstance(annotation, str) and _CONTEXT_TEXT.fullmatch(annotation.strip("'\"")) is not None
    return any(getattr(part, "__pgflow_context__", False) is True for part in _parts(resolved))


def _called(handler: Handler) -> Handler:
    """Return the function or method that runs when the handler is called, wrappers included."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if inspect.isroutine(handler):
        return handler
    method: Handler = handler.__call__  # type: ignore[operator]  # every callable object has it
    return method


def _function(handler: Handler) -> Handler:
    """Return the function in whose module the annotations were written: beneath methods and wrappers."""
    function = inspect.unwrap(_called(handler))
    beneath: Handler = getattr(function, "__func__", function)
    return beneath


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)
