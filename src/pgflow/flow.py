"""Flows: steps declared with decorators, kept with their handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeVar, Unpack, overload

from pgflow import graph
from pgflow.backoff import Backoff, backoff_problems
from pgflow.errors import DefinitionError, InvalidInput, StepNotFound
from pgflow.graph import FlowShape, StepType
from pgflow.handlers import Handler
from pgflow.step import MapOptions, Step, StepOptions, declare
from pgflow.types import Json

__all__ = ["Flow", "MapOptions", "Step", "StepOptions"]

HandlerType = TypeVar("HandlerType", bound=Handler)


class Flow:
    """A workflow: steps, and what they wait for.

    `max_attempts` (3), `base_delay` (1 second) and `timeout` (60 seconds) hold for all steps that don't override them.
    `max_delay` (seconds) bounds the delay between attempts, which doubles each time, and `jitter` (0 to 1) is the share
    of it that is left to chance. Both are this package's: workers in other languages know only `base_delay`.
    The slug names the flow in the database: at most 47 ASCII letters, digits and underscores. Raises
    :class:`DefinitionError`, listing every problem. ::

        greeting = Flow("greeting")

        @greeting.step
        def name(person: Person) -> str:
            return person.name

        @greeting.step
        async def greet(name: str) -> str:
            return f"Hello, {name}!"
    """

    def __init__(
        self,
        slug: str,
        *,
        max_attempts: int = 3,
        base_delay: int = 1,
        timeout: int = 60,
        max_delay: int | None = None,
        jitter: float = 0,
    ) -> None:
        self._empty_shape = FlowShape(slug, max_attempts=max_attempts, base_delay=base_delay, timeout=timeout)
        found = graph.flow_problems(self._empty_shape)
        found += [f"flow {slug!r}: {problem}" for problem in backoff_problems(max_delay, jitter)]
        if found:
            raise DefinitionError(found)
        self._backoff = Backoff(max_delay, jitter)
        self._steps: dict[str, Step] = {}
        self._checked = False

    def __repr__(self) -> str:
        return f"Flow({self.slug!r}, steps={list(self._steps)})"

    @property
    def slug(self) -> str:
        """The flow's name in the database."""
        return self._empty_shape.slug

    @property
    def options(self) -> dict[str, int]:
        """The flow's `max_attempts`, `base_delay` and `timeout`."""
        return self._empty_shape.options

    @property
    def steps(self) -> Mapping[str, Step]:
        """The steps by slug, in the order of their declaration."""
        return MappingProxyType(self._steps)

    @property
    def flow_shape(self) -> FlowShape:
        """The flow's graph as a value."""
        return FlowShape(self.slug, tuple(step.shape for step in self._steps.values()), **self.options)

    @property
    def shape(self) -> dict[str, Json]:
        """The flow as plain data, in the form that the database takes."""
        return graph.to_json(self.flow_shape)

    @overload
    def step(self, handler: HandlerType, /, **options: Unpack[StepOptions]) -> HandlerType: ...

    @overload
    def step(self, /, **options: Unpack[StepOptions]) -> Callable[[HandlerType], HandlerType]: ...

    def step(self, handler: Handler | None = None, /, **options: Unpack[StepOptions]) -> Handler:
        """Make a function a step; use it as a decorator, with or without options (:class:`StepOptions`).

        Parameters say what the function receives: named like an earlier step, that step's output; `deps`, all outputs
        of `depends_on` by slug; `ctx`, the context; `flow_input`, the run's input, as does a root step's one other
        parameter. The function is returned unchanged. Raises :class:`DefinitionError`, listing every problem.
        """
        return self._decorate(handler, "single", dict(options))

    @overload
    def map(self, handler: HandlerType, /, **options: Unpack[MapOptions]) -> HandlerType: ...

    @overload
    def map(self, /, **options: Unpack[MapOptions]) -> Callable[[HandlerType], HandlerType]: ...

    def map(self, handler: Handler | None = None, /, **options: Unpack[MapOptions]) -> Handler:
        """Make a function a map step, run once for each element of the output of `over`, else of the run's input.

        The function's one parameter beside `ctx` and `flow_input` is the element; the step's output is the list of
        results. Used, and raises, as :meth:`step`.
        """
        return self._decorate(handler, "map", dict(options))

    def check(self) -> None:
        """Check the whole flow and close it for further steps; done when it is registered.

        Raises :class:`DefinitionError`, listing every problem: no steps, annotations that can't be used.
        """
        if self._checked:
            return
        found = graph.problems(self.flow_shape)
        for step in self._steps.values():
            try:
                step.binding.prepare()
            except DefinitionError as error:
                found += error.problems
        if found:
            raise DefinitionError(found)
        self._checked = True

    def handler(self, step_slug: str) -> Handler:
        """Return the handler of a step. Raises :class:`StepNotFound`."""
        if step_slug in self._steps:
            return self._steps[step_slug].handler
        error = StepNotFound(step_slug, list(self._steps))
        error.args = (f"No handler defined for step: {step_slug}",)
        raise error

    def retry_delay(self, step_slug: str, attempt: int) -> int | None:
        """Return the seconds from this attempt, counted from 1, to the next, by chance where there is `jitter`.

        None if the database's formula holds. Raises :class:`StepNotFound`.
        """
        if step_slug not in self._steps:
            raise StepNotFound(step_slug, list(self._steps))
        step = self._steps[step_slug]
        base_delay = step.shape.base_delay
        return step.backoff.delay(self.options["base_delay"] if base_delay is None else base_delay, attempt)

    def graph(self, format: Literal["mermaid", "dot", "text"] = "mermaid") -> str:  # noqa: A002 - the public name
        """Return the graph as Mermaid, Graphviz (`dot`), or a drawing for a terminal of 80 columns (`text`)."""
        match format:
            case "mermaid":
                return graph.mermaid(self.flow_shape)
            case "dot":
                return graph.dot(self.flow_shape)
            case "text":
                return graph.text(self.flow_shape)
        raise InvalidInput(f"unknown format {format!r}; there are 'mermaid', 'dot' and 'text'")

    def _decorate(self, handler: Handler | None, step_type: StepType, options: dict[str, Any]) -> Handler:
        if handler is None:
            return lambda decorated: self._decorate(decorated, step_type, options)
        if self._checked:
            raise DefinitionError(f"flow {self.slug!r} is registered already; add its steps before")
        step = declare(self._steps, handler, step_type, options, self._backoff)
        self._steps[step.shape.slug] = step
        return handler
