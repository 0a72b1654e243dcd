"""From a handler's signature to its dependencies, the arguments of a call, and the JSON of its result."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import Any, Final, Never, NoReturn

from pydantic import TypeAdapter

from pgflow import serialize, validation
from pgflow.errors import DefinitionError, InvalidInput
from pgflow.graph import StepType, known_steps
from pgflow.handlers import Handler, is_context, parameters_of, resolve, return_annotation_of
from pgflow.types import Json

_MEANINGLESS: Final[Mapping[StepType, str]] = {
    "single": "is neither an earlier step, nor `deps`, `ctx` or `flow_input`, nor a root step's only other parameter",
    "map": "is one too many: beside `ctx` and `flow_input`, a map step has one parameter, for the element",
}
_COLLECTING: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Role(Enum):
    """What a parameter receives."""

    DEPENDENCY = auto()
    ALL_DEPENDENCIES = auto()
    FLOW_INPUT = auto()
    ELEMENT = auto()
    CONTEXT = auto()


@dataclass(frozen=True, slots=True)
class BoundParameter:
    """A parameter that is filled by name; `annotation` is as it was written."""

    name: str
    role: Role
    annotation: Any
    has_default: bool


@dataclass(frozen=True)
class Binding:
    """How a step's handler is called.

    `dependencies` are the slugs that the step waits for: those declared first, then those that parameters name.
    Annotations are looked up on first use, so they may name what the module defines later.
    """

    handler: Handler
    step_slug: str
    dependencies: tuple[str, ...]
    parameters: tuple[BoundParameter, ...]

    @cached_property
    def wants_flow_input(self) -> bool:
        """Whether a parameter receives the run's input."""
        return any(parameter.role is Role.FLOW_INPUT for parameter in self.parameters)

    @cached_property
    def wants_context(self) -> bool:
        """Whether a parameter receives the context."""
        return any(parameter.role is Role.CONTEXT for parameter in self.parameters)

    @property
    def input_type(self) -> TypeAdapter[Any] | None:
        """What checks the run's input, or a map's element; None where nothing is annotated."""
        taken = (parameter.name for parameter in self.parameters if parameter.role in (Role.FLOW_INPUT, Role.ELEMENT))
        return next((self._parameter_types[name] for name in taken if name in self._parameter_types), None)

    def arguments(self, task_input: Json, flow_input: Json, context: object) -> dict[str, Any]:
        """Return the keyword arguments of one call, validated.

        `task_input` is the task's input: the outputs of the completed dependencies by slug, or a map's element.
        `flow_input` is only looked at if :attr:`wants_flow_input`. Raises :class:`InvalidInput`, naming the parameter
        and the field, for a value that isn't what the annotation says, and for a skipped dependency that the
        parameter has no place for.
        """
        arguments = {}
        for parameter in self.parameters:
            match parameter.role:
                case Role.CONTEXT:
                    arguments[parameter.name] = context
                case Role.FLOW_INPUT:
                    arguments[parameter.name] = self._validated(parameter, flow_input)
                case Role.DEPENDENCY if parameter.name not in task_input:
                    arguments.update(self._in_place_of_skipped(parameter))
                case Role.DEPENDENCY:
                    arguments[parameter.name] = self._validated(parameter, task_input[parameter.name])
                case Role.ALL_DEPENDENCIES | Role.ELEMENT:
                    arguments[parameter.name] = self._validated(parameter, task_input)
        return arguments

    def encode(self, result: object, *, limit: int | None = serialize.DEFAULT_OUTPUT_LIMIT) -> bytes:
        """Return the JSON text of a result, validated if the handler's return is annotated.

        `limit` is the largest size in bytes, 8 MiB by default. Raises :class:`InvalidInput`, naming the field.
        """
        if self._result_type is not None:
            result = validation.check(self._result_type, result, "output")
        return serialize.encode(result, limit=limit)

    def prepare(self) -> None:
        """Look up all annotations now. Raises :class:`DefinitionError`, listing all that can't be used."""
        found: list[str] = []
        for attribute in ("_parameter_types", "_result_type"):
            try:
                getattr(self, attribute)
            except DefinitionError as error:
                found += error.problems
        if found:
            raise DefinitionError(found)

    @cached_property
    def _parameter_types(self) -> Mapping[str, TypeAdapter[Any]]:
        types: dict[str, TypeAdapter[Any]] = {}
        found: list[str] = []
        for parameter in self.parameters:
            if parameter.role is Role.CONTEXT or parameter.annotation is inspect.Parameter.empty:
                continue
            try:
                types[parameter.name] = self._adapter(parameter.annotation, f"parameter {parameter.name!r}")
            except DefinitionError as error:
                found += error.problems
        if found:
            raise DefinitionError(found)
        return types

    @cached_property
    def _result_type(self) -> TypeAdapter[Any] | None:
        annotation = return_annotation_of(self.handler)
        if annotation in (inspect.Signature.empty, NoReturn, Never, "NoReturn", "Never"):
            return None
        return self._adapter(annotation, "the return value")

    def _adapter(self, annotation: Any, place: str) -> TypeAdapter[Any]:
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(resolve(self.handler, annotation))
            adapter.rebuild(raise_errors=True)
        except NameError as error:
            hint = "define or import it at the top level of the handler's module, not for type checkers only"
            problem = f"the annotation of {place} names {error.name!r}, which is not defined; {hint}"
            raise DefinitionError(f"step {self.step_slug!r}: {problem}") from error
        except Exception as error:
            reason = str(error).splitlines()[0]
            problem = f"the annotation of {place}, {_shown(annotation)}, can't be validated: {reason}"
            raise DefinitionError(f"step {self.step_slug!r}: {problem}") from error
        return adapter

    def _validated(self, parameter: BoundParameter, value: Json) -> Any:
        adapter = self._parameter_types.get(parameter.name)
        return value if adapter is None else validation.read(adapter, value, parameter.name)

    def _in_place_of_skipped(self, parameter: BoundParameter) -> dict[str, Any]:
        if parameter.has_default:
            return {}
        try:
            return {parameter.name: self._validated(parameter, None)}
        except InvalidInput:
            hint = "give the parameter a default, or let its annotation allow None"
            raise InvalidInput(f"{parameter.name}: step {parameter.name!r} was skipped; {hint}") from None


def bind(
    handler: Handler,
    *,
    step_slug: str,
    step_type: StepType = "single",
    known: Collection[str] = (),
    depends_on: Sequence[str] = (),
    takes_input: bool = False,
) -> Binding:
    """Return how a handler is called as a step of a flow with the steps `known`.

    `depends_on` are the dependencies declared explicitly; for a map step, the step it runs over. With `takes_input` a
    parameter of any name receives the input of a step that isn't a root step too. Raises :class:`DefinitionError`,
    listing every parameter that has no meaning.
    """
    parameters = [parameter for parameter in parameters_of(handler) if parameter.kind not in _COLLECTING]
    roles = {parameter.name: _role_by_name(handler, parameter, known) for parameter in parameters}
    named = [name for name, role in roles.items() if role is Role.DEPENDENCY and step_type == "single"]
    dependencies = (*depends_on, *(name for name in named if name not in depends_on))
    _give_the_input(roles, parameters, step_type, is_root=not dependencies, takes_input=takes_input)
    found = [*_hidden_parameters(handler), *_parameter_problems(parameters, roles, step_type, known, depends_on)]
    if found:
        raise DefinitionError([f"step {step_slug!r}: {problem}" for problem in found])
    bound = tuple(
        BoundParameter(parameter.name, role, parameter.annotation, _has_default(parameter))
        for parameter in parameters
        if (role := roles[parameter.name]) is not None
    )
    return Binding(handler, step_slug, dependencies, bound)


def _role_by_name(handler: Handler, parameter: inspect.Parameter, known: Collection[str]) -> Role | None:
    if is_context(handler, parameter):
        return Role.CONTEXT
    match parameter.name:
        case "deps":
            return Role.ALL_DEPENDENCIES
        case "flow_input":
            return Role.FLOW_INPUT
        case name if name in known:
            return Role.DEPENDENCY
        case _:
            return None


def _give_the_input(
    roles: dict[str, Role | None],
    parameters: Sequence[inspect.Parameter],
    step_type: StepType,
    *,
    is_root: bool,
    takes_input: bool,
) -> None:
    """Give a root step's or a map step's one other parameter its role, or that of any step."""
    others = [parameter for parameter in parameters if roles[parameter.name] is None]
    required = [parameter for parameter in others if not _has_default(parameter)]
    candidates = required or others
    if len(candidates) != 1:
        return
    if step_type == "map":
        roles[candidates[0].name] = Role.ELEMENT
    elif is_root:
        roles[candidates[0].name] = Role.FLOW_INPUT
    elif takes_input:
        roles[candidates[0].name] = Role.ALL_DEPENDENCIES


def _hidden_parameters(handler: Handler) -> Iterator[str]:
    parameters = parameters_of(handler)
    if parameters and all(parameter.kind in _COLLECTING for parameter in parameters):
        shown = inspect.Signature(parameters)
        yield f"the parameters {shown} have no names to bind; decorators keep them with functools.wraps"


def _parameter_problems(
    parameters: Sequence[inspect.Parameter],
    roles: Mapping[str, Role | None],
    step_type: StepType,
    known: Collection[str],
    depends_on: Sequence[str],
) -> Iterator[str]:
    for parameter in parameters:
        role, place = roles[parameter.name], f"parameter {parameter.name!r}"
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            yield f"{place} is positional-only, but handlers are called by keyword; remove the `/`"
        elif role is Role.ALL_DEPENDENCIES and step_type == "map":
            yield f"{place}: a map step receives one element; `flow_input` and `ctx` are all that it can have beside it"
        elif role is Role.ALL_DEPENDENCIES and not depends_on:
            yield f"{place} is the dict of all dependency outputs and needs depends_on=[…]"
        elif role is Role.DEPENDENCY and step_type == "map":
            over = f"of {depends_on[0]!r}" if depends_on else f"of the flow's input; write over={parameter.name!r}"
            yield f"{place} is named like a step, but receives one element {over}; rename the parameter"
        elif role is None and not _has_default(parameter):
            yield f"{place} {_MEANINGLESS[step_type]}; {known_steps(known)}"


def _has_default(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


def _shown(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
