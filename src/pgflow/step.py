"""Steps: their options, and how a decorated function becomes one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypedDict

from pgflow import graph
from pgflow.backoff import Backoff, backoff_problems
from pgflow.binding import Binding, bind
from pgflow.errors import DefinitionError
from pgflow.graph import Pattern, StepShape, StepType, WhenExhausted, WhenUnmet
from pgflow.handlers import Handler, default_slug, function_of, handler_problems, is_async, is_importable

StepReference: TypeAlias = str | Handler
"""A step of a flow: its slug, or the function that handles it."""


class CommonOptions(TypedDict, total=False):
    """Options of steps and map steps.

    `slug` is the handler's name by default. `max_attempts`, `base_delay` and `timeout` (seconds) override the flow's;
    `start_delay` (seconds) holds back the first attempt. `if_` and `if_not` are JSON objects that the run's input, or
    the outputs of the dependencies by slug, must contain or must not contain; `when_unmet` says what happens
    otherwise (`skip`), `when_exhausted` what happens after the last attempt has failed (`fail`). `max_delay` (seconds)
    and `jitter` (0 to 1) override the flow's. `executor` is where a `def` handler runs: `thread`, `process`, or a name
    that the worker knows.
    """

    slug: str | None
    max_attempts: int | None
    base_delay: int | None
    timeout: int | None
    start_delay: int | None
    max_delay: int | None
    jitter: float | None
    if_: Pattern | None
    if_not: Pattern | None
    when_unmet: WhenUnmet | None
    when_exhausted: WhenExhausted
    executor: str


class StepOptions(CommonOptions, total=False):
    """Options of a step. `depends_on` are the functions or slugs of steps that it waits for."""

    depends_on: Sequence[StepReference]


class MapOptions(CommonOptions, total=False):
    """Options of a map step. `over` is the function or slug of the step whose elements it takes."""

    over: StepReference | None


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a flow with its handler; `executor` is where a handler runs that isn't async."""

    shape: StepShape
    handler: Handler
    binding: Binding
    is_async: bool
    executor: str
    backoff: Backoff

    @property
    def reads_flow_input(self) -> bool:
        """Whether the handler wants the run's input, and a task doesn't come with it."""
        is_root = self.shape.step_type == "single" and not self.shape.dependencies
        return not is_root and self.binding.wants_flow_input


_OPTIONS_OF: Final[Mapping[StepType, frozenset[str]]] = {
    "single": StepOptions.__optional_keys__,
    "map": MapOptions.__optional_keys__,
}


def declare(
    earlier: Mapping[str, Step], handler: Handler, step_type: StepType, options: Mapping[str, Any], backoff: Backoff
) -> Step:
    """Return the step that a handler and its options make, behind the `earlier` ones; `backoff` is the flow's.

    Raises :class:`DefinitionError`, listing every problem of the step.
    """
    found: list[str] = []
    slug = _slug(handler, options, found)
    found += [f"step {slug!r}: {problem}" for problem in _problems(handler, step_type, options)]
    declared = _dependencies(earlier, slug, options, found)
    binding = _binding(earlier, handler, slug, step_type, declared, found)
    shape = _shape(slug, step_type, binding.dependencies if binding else declared, options)
    found += graph.step_problems(shape, list(earlier))
    if found or binding is None:
        raise DefinitionError(found)
    return Step(
        shape, handler, binding, is_async(handler), options.get("executor", "thread"), _backoff(options, backoff)
    )


def _backoff(options: Mapping[str, Any], default: Backoff) -> Backoff:
    given = {name: options[name] for name in ("max_delay", "jitter") if options.get(name) is not None}
    return replace(default, **given)


def attach(earlier: Mapping[str, Step], handler: Handler, shape: StepShape) -> Step:
    """Return the step that a handler makes of a shape that was defined elsewhere.

    Raises :class:`DefinitionError`, listing every problem of the step.
    """
    found = [f"step {shape.slug!r}: {problem}" for problem in handler_problems(handler)]
    if not found:
        known = shape.dependencies if shape.step_type == "single" else ()
        binding = bind(
            handler,
            step_slug=shape.slug,
            step_type=shape.step_type,
            known=known,
            depends_on=shape.dependencies,
            takes_input=True,
        )
        found += graph.step_problems(shape, list(earlier))
    if found:
        raise DefinitionError(found)
    return Step(shape, handler, binding, is_async(handler), "thread", Backoff())


def _slug(handler: Handler, options: Mapping[str, Any], found: list[str]) -> str:
    slug = options.get("slug")
    if slug is None:
        slug = default_slug(handler)
    if slug is None:
        found.append(f"the handler {handler!r} has no name of its own; name the step with slug=")
        slug = "unnamed"
    return slug  # one that is no text is refused with the shape


def _problems(handler: Handler, step_type: StepType, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the handler, and with options that aren't part of the shape."""
    yield from handler_problems(handler)
    known = _OPTIONS_OF[step_type]
    for name in options:
        if name not in known:
            yield f"unknown option {name!r}; {_other_option(name) or 'options: ' + ', '.join(sorted(known))}"
    yield from backoff_problems(options.get("max_delay"), options.get("jitter"))
    executor = options.get("executor")
    if executor is None or not callable(handler):
        return
    if not isinstance(executor, str) or not executor:
        yield f"executor must be 'thread', 'process' or a name, not {executor!r}"
    elif is_async(handler):
        yield f"executor={executor!r} is for `def` handlers; `async def` ones run on the event loop"
    elif executor == "process" and not is_importable(handler):
        yield "executor='process' needs a function at the top level of a module, which another process can import"


def _other_option(name: str) -> str | None:
    """Return a hint for options that belong to the other kind of step."""
    match name:
        case "depends_on":
            return "a map step runs over one step, given as over="
        case "over":
            return "only map steps have it: decorate with .map"
        case _:
            return None


def _dependencies(
    earlier: Mapping[str, Step], slug: str, options: Mapping[str, Any], found: list[str]
) -> tuple[str, ...]:
    """Return the slugs that `depends_on` or `over` refer to."""
    references = options.get("depends_on")
    if references is None:
        references = ()
    if isinstance(references, str) or not isinstance(references, Sequence):
        found.append(f"step {slug!r}: depends_on must be a list of functions or slugs, not {references!r}")
        references = ()
    over = options.get("over")
    if isinstance(over, list | tuple):
        references = (*references, *over)
    elif over is not None:
        references = (*references, over)
    slugs = []
    for reference in references:
        try:
            slugs.append(_referred(earlier, reference))
        except DefinitionError as error:
            found += [f"step {slug!r}: {problem}" for problem in error.problems]
    return tuple(slugs)


def _referred(earlier: Mapping[str, Step], reference: StepReference) -> str:
    if isinstance(reference, str):
        return reference
    handler = function_of(reference)
    slugs = [slug for slug, step in earlier.items() if step.handler is handler or step.handler == handler]
    match slugs:
        case [slug]:
            return slug
        case []:
            name = getattr(reference, "__name__", repr(reference))
            raise DefinitionError(f"{name} is no step of the flow; {graph.known_steps(earlier)}")
        case _:
            raise DefinitionError(f"{reference!r} handles the steps {', '.join(slugs)}; refer to one by its slug")


def _binding(
    earlier: Mapping[str, Step],
    handler: Handler,
    slug: str,
    step_type: StepType,
    declared: tuple[str, ...],
    found: list[str],
) -> Binding | None:
    if handler_problems(handler):
        return None
    try:
        return bind(handler, step_slug=slug, step_type=step_type, known=list(earlier), depends_on=declared)
    except DefinitionError as error:
        found += error.problems
        return None


def _shape(slug: str, step_type: StepType, dependencies: tuple[str, ...], options: Mapping[str, Any]) -> StepShape:
    return StepShape(
        slug,
        step_type,
        dependencies,
        max_attempts=options.get("max_attempts"),
        base_delay=options.get("base_delay"),
        timeout=options.get("timeout"),
        start_delay=options.get("start_delay"),
        required_input_pattern=options.get("if_"),
        forbidden_input_pattern=options.get("if_not"),
        when_unmet=options.get("when_unmet"),
        when_exhausted=options.get("when_exhausted", "fail"),
    )
