"""Flows: steps declared with decorators, kept with their handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, Unpack, cast, overload

from pydantic import TypeAdapter
from typing_extensions import TypeVar as TypeVarWithDefault

from pgflow import graph, serialize, validation
from pgflow.backoff import Backoff, backoff_problems
from pgflow.errors import DefinitionError, InvalidInput, StepNotFound
from pgflow.graph import FlowShape, FlowType, StepType
from pgflow.handlers import Handler, function_of
from pgflow.step import MapOptions, Step, StepOptions, attach, declare
from pgflow.types import Json

__all__ = ["Flow", "MapOptions", "Step", "StepOptions"]

HandlerType = TypeVar("HandlerType", bound=Handler)
InputT = TypeVarWithDefault("InputT", default=Any)
"""What a flow is started with."""

OutputT = TypeVarWithDefault("OutputT", default=Any)
"""What a run gives: the outputs of the completed leaf steps by slug."""


class Flow(Generic[InputT, OutputT]):
    """A workflow: steps, and what they wait for.

    `max_attempts` (3), `base_delay` (1 second) and `timeout` (60 seconds) hold for all steps that don't override them.
    `max_delay` (seconds) bounds the delay between attempts, which doubles each time, and `jitter` (0 to 1) is the share
    of it that is left to chance. Both are this package's: workers in other languages know only `base_delay`.
    `input` and `output` are types, for checkers and at run time: what `start_flow` takes, and what `run.result()`
    gives, a model or TypedDict of the outputs of the leaf steps by slug. Without them any JSON is right. The slug names
    the flow in the database: at most 47 ASCII letters, digits and underscores. Raises :class:`DefinitionError`, listing
    every problem. ::

        greeting = Flow("greeting")

        @greeting.step
        def name(person: Person) -> str:
            return person.name

        @greeting.step
        async def greet(name: str) -> str:
            return f"Hello, {name}!"
    """

    flow_type: ClassVar[FlowType] = "flow"
    """What listings call it."""

    def __init__(
        self,
        slug: str,
        *,
        max_attempts: int = 3,
        base_delay: int = 1,
        timeout: int = 60,
        max_delay: int | None = None,
        jitter: float = 0,
        input: type[InputT] | None = None,  # noqa: A002 - the public name
        output: type[OutputT] | None = None,
    ) -> None:
        self._empty_shape = FlowShape(slug, (), max_attempts, base_delay, timeout, self.flow_type)
        found = graph.flow_problems(self._empty_shape)
        found += [f"flow {slug!r}: {problem}" for problem in backoff_problems(max_delay, jitter)]
        if found:
            raise DefinitionError(found)
        self._backoff = Backoff(max_delay, jitter)
        self._steps: dict[str, Step] = {}
        self._checked = False
        self._input_type = None if input is None else validation.adapter_for(input, f"input of flow {slug!r}")
        self._output_type = None if output is None else validation.adapter_for(output, f"output of flow {slug!r}")

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
    def input_type(self) -> TypeAdapter[InputT] | None:
        """What checks the input, if the flow was given a type for it."""
        return self._input_type

    @property
    def steps(self) -> Mapping[str, Step]:
        """The steps by slug, in the order of their declaration."""
        return MappingProxyType(self._steps)

    @property
    def flow_shape(self) -> FlowShape:
        """The flow's graph as a value."""
        return replace(self._empty_shape, steps=tuple(step.shape for step in self._steps.values()))

    @property
    def shape(self) -> dict[str, Json]:
        """The flow as plain data, in the form that the database takes."""
        return graph.to_json(self.flow_shape)

    @classmethod
    def from_shape(cls, shape: FlowShape, handlers: Mapping[str, Handler]) -> Self:
        """Return a flow of this shape whose steps have handlers out of `handlers`.

        They are looked up by `flow_slug.step_slug`, then by `step_slug`. Beside the parameters that every handler may
        have, one may have a parameter of any other name: it receives what the step's input is, wherever it stands.
        Raises :class:`DefinitionError`, listing every problem.
        """
        flow = cls(shape.slug, max_attempts=shape.max_attempts, base_delay=shape.base_delay, timeout=shape.timeout)
        found: list[str] = []
        for step in shape.steps:
            handler = handlers.get(f"{shape.slug}.{step.slug}", handlers.get(step.slug))
            if handler is None:
                found.append(f"step {step.slug!r} has no handler; handlers: {', '.join(sorted(handlers)) or 'none'}")
                continue
            try:
                flow._steps[step.slug] = attach(flow._steps, handler, step)
            except DefinitionError as error:
                found += error.problems
        if found:
            raise DefinitionError(found)
        return flow

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

    def encode_input(self, value: InputT) -> bytes:
        """Return the JSON text of an input. Raises :class:`InvalidInput` for what isn't of the flow's input type."""
        checked = value if self._input_type is None else validation.check(self._input_type, value, "input")
        return serialize.encode(checked, what="input")

    def read_output(self, output: Json) -> OutputT:
        """Return the output of a run as the flow's output type. Raises :class:`InvalidInput` where it isn't of it."""
        if self._output_type is None:
            return cast("OutputT", output)
        return validation.read(self._output_type, output, "output")

    def handler(self, step_slug: str) -> Handler:
        """Return the handler of a step. Raises :class:`StepNotFound`."""
        if step_slug in self._steps:
            return self._steps[step_slug].handler
        error = StepNotFound(step_slug, list(self._steps))
        error.args = (f"No handler defined for step: {step_slug}",)
        raise error

    def retry_delay(self, step_slug: str, attempt: int, base_delay: int | None = None) -> int | None:
        """Return the seconds from this attempt, counted from 1, to the next, by chance where there is `jitter`.

        None if the database's formula holds. `base_delay` stands for that of the code. Raises :class:`StepNotFound`.
        """
        if step_slug not in self._steps:
            raise StepNotFound(step_slug, list(self._steps))
        step = self._steps[step_slug]
        if base_delay is None:
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
        step = declare(self._steps, function_of(handler), step_type, options, self._backoff)
        self._steps[step.shape.slug] = step
        return handler
