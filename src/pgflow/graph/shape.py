"""A flow's graph as a value, and its form in the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pgflow.types import Json

FlowType: TypeAlias = Literal["flow", "job"]
StepType: TypeAlias = Literal["single", "map"]
WhenUnmet: TypeAlias = Literal["skip", "fail", "skip-cascade"]
WhenExhausted: TypeAlias = Literal["fail", "skip", "skip-cascade"]
Pattern: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class StepShape:
    """One step: what it is called, what it waits for, and how it runs.

    The options are overrides, in seconds where they are times; None takes the flow's value, and no `start_delay`.
    `when_unmet` None means that nothing was said, which is `skip`.
    """

    slug: str
    step_type: StepType = "single"
    dependencies: tuple[str, ...] = ()
    max_attempts: int | None = None
    base_delay: int | None = None
    timeout: int | None = None
    start_delay: int | None = None
    required_input_pattern: Pattern | None = None
    forbidden_input_pattern: Pattern | None = None
    when_unmet: WhenUnmet | None = None
    when_exhausted: WhenExhausted = "fail"

    @property
    def options(self) -> dict[str, int]:
        """The overrides that are set, by name."""
        return _set_options(self, ("max_attempts", "base_delay", "timeout", "start_delay"))


@dataclass(frozen=True, slots=True)
class FlowShape:
    """A flow: its steps in the order of their declaration, and its options in seconds, always explicit.

    A `job` is a flow of one step; only listings tell them apart.
    """

    slug: str
    steps: tuple[StepShape, ...] = ()
    max_attempts: int = 3
    base_delay: int = 1
    timeout: int = 60
    flow_type: FlowType = "flow"

    @property
    def options(self) -> dict[str, int]:
        """The options by name."""
        return _set_options(self, ("max_attempts", "base_delay", "timeout"))


def to_json(shape: FlowShape) -> dict[str, Json]:
    """Return the shape as plain data in the contract's form, with the options beside it."""
    flow_type = {} if shape.flow_type == "flow" else {"flowType": shape.flow_type}  # a key that the contract has not
    return {**flow_type, "options": _json_options(shape.options), "steps": [_json_step(step) for step in shape.steps]}


def camel_case(name: str) -> str:
    """Return the name of an option as JSON and JavaScript have it."""
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)


def _json_step(step: StepShape) -> dict[str, Json]:
    return {
        "slug": step.slug,
        "stepType": step.step_type,
        "dependencies": sorted(step.dependencies),
        "whenUnmet": step.when_unmet or "skip",
        "whenExhausted": step.when_exhausted,
        "requiredInputPattern": _json_pattern(step.required_input_pattern),
        "forbiddenInputPattern": _json_pattern(step.forbidden_input_pattern),
        "options": _json_options(step.options),
    }


def _json_pattern(pattern: Pattern | None) -> dict[str, Json]:
    return {"defined": False} if pattern is None else {"defined": True, "value": dict(pattern)}


def _json_options(options: Mapping[str, int]) -> dict[str, int]:
    return {camel_case(name): value for name, value in options.items()}


def _set_options(shape: StepShape | FlowShape, names: tuple[str, ...]) -> dict[str, int]:
    return {name: value for name in names if (value := getattr(shape, name)) is not None}
