"""Flows that are plain data: checked, and turned into shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict, cast, get_args

from pgflow import graph
from pgflow.errors import DefinitionError
from pgflow.graph import FlowShape, Pattern, StepShape, StepType, WhenExhausted, WhenUnmet
from pgflow.types import Json

StepSpec = TypedDict(
    "StepSpec",
    {
        "slug": str,
        "deps": Sequence[str],
        "depends_on": Sequence[str],
        "step_type": StepType,
        "max_attempts": int | None,
        "base_delay": int | None,
        "timeout": int | None,
        "start_delay": int | None,
        "if": Mapping[str, Json] | None,
        "if_not": Mapping[str, Json] | None,
        "when_unmet": WhenUnmet | None,
        "when_exhausted": WhenExhausted,
    },
    total=False,
)
"""A step as plain data; only `slug` is required. `deps`, or `depends_on`, are the slugs of the steps it waits for.

`step_type` is `single` (default) or `map`. The rest is as in :class:`pgflow.step.CommonOptions`.
"""

_KEYS: Final = frozenset(StepSpec.__optional_keys__) | {"if_"}
_OPTIONS: Final = ("max_attempts", "base_delay", "timeout", "start_delay")
_PATTERNS: Final = {"if": "required_input_pattern", "if_not": "forbidden_input_pattern"}


class Problems:
    """What is wrong, each with a code."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.texts: list[str] = []

    def add(self, code: str, text: str) -> None:
        """Add one."""
        self.codes.append(code)
        self.texts.append(text)

    def check(self) -> None:
        """Raise DefinitionError if there are any."""
        if self.texts:
            raise DefinitionError(self.texts, self.codes)


def shape_of(
    slug: str,
    steps: Iterable[StepSpec],
    *,
    max_attempts: int = 3,
    base_delay: int = 1,
    timeout: int = 60,
) -> FlowShape:
    """Return the shape of a flow that is plain data, its steps sorted so that each comes behind those it waits for.

    Raises DefinitionError, listing every problem with its code in `codes`: `invalid_slug`, `invalid_option`,
    `steps_required`, `steps_must_be_list`, `invalid_step`, `unknown_key`, `step_slug_required`, `invalid_step_slug`,
    `duplicate_step`, `invalid_step_deps`, `invalid_step_dep`, `invalid_step_dep_slug`, `duplicate_dep`,
    `unknown_dependency`, `cycle`, `invalid_step_type`, `too_many_map_deps`, `invalid_condition_pattern`,
    `when_unmet_requires_condition`, `invalid_condition_mode`.
    """
    problems = Problems()
    _check_flow(slug, {"max_attempts": max_attempts, "base_delay": base_delay, "timeout": timeout}, problems)
    shapes = _steps(steps, problems)
    if not problems.texts:
        shapes = _sorted(shapes, problems)
    problems.check()
    return FlowShape(slug, tuple(shapes), max_attempts=max_attempts, base_delay=base_delay, timeout=timeout)


def _check_flow(slug: object, options: Mapping[str, object], problems: Problems) -> None:
    reason = graph.slug_problem(slug, limit=graph.FLOW_SLUG_LIMIT)
    if reason:
        problems.add("invalid_slug", f"flow slug {slug!r} {reason}")
    for name, value in options.items():
        if problem := graph.option_problem(name, value):
            problems.add("invalid_option", problem)


def _steps(steps: object, problems: Problems) -> list[StepShape]:
    if isinstance(steps, str | bytes | Mapping) or not isinstance(steps, Iterable):
        problems.add("steps_must_be_list", f"steps must be a list of dicts, not {type(steps).__name__}")
        return []
    listed = list(steps)
    if not listed:
        problems.add("steps_required", "a flow needs at least one step")
    slugs = [step.get("slug") for step in listed if isinstance(step, Mapping)]
    shapes: list[StepShape] = []
    for index, step in enumerate(listed):
        place = f"steps[{index}]"
        if not isinstance(step, Mapping):
            problems.add("invalid_step", f"{place} must be a dict, not {type(step).__name__}")
            continue
        _check_slug(step, slugs[: len(shapes)], place, problems)
        _check_keys(step, place, problems)
        dependencies = _dependencies(step, slugs, place, problems)
        shapes.append(_shape(step, dependencies, place, problems))
    return shapes


def _check_slug(step: Mapping[str, Json], earlier: Sequence[object], place: str, problems: Problems) -> None:
    slug = step.get("slug")
    if slug is None or slug == "":
        problems.add("step_slug_required", f"{place} needs a slug")
    elif reason := graph.slug_problem(slug):
        problems.add("invalid_step_slug", f"{place}: slug {slug!r} {reason}")
    elif slug in earlier:
        problems.add("duplicate_step", f"{place}: the flow has a step {slug!r} already")


def _check_keys(step: Mapping[str, Json], place: str, problems: Problems) -> None:
    for key in step:
        if key not in _KEYS:
            problems.add("unknown_key", f"{place}: unknown key {key!r}; keys: {', '.join(sorted(_KEYS))}")
    for one, other in (("deps", "depends_on"), ("if", "if_")):
        if one in step and other in step:
            problems.add("unknown_key", f"{place}: {one} and {other} are the same; leave one out")


def _dependencies(step: Mapping[str, Json], slugs: Sequence[object], place: str, problems: Problems) -> list[str]:
    name = "deps" if "deps" in step else "depends_on"
    given = step.get(name)
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        problems.add("invalid_step_deps", f"{place}.{name} must be a list of slugs, not {type(given).__name__}")
        return []
    found: list[str] = []
    for index, dependency in enumerate(given):
        where = f"{place}.{name}[{index}]"
        if not isinstance(dependency, str):
            problems.add("invalid_step_dep", f"{where} must be a slug, not {dependency!r}")
        elif reason := graph.slug_problem(dependency):
            problems.add("invalid_step_dep_slug", f"{where}: {dependency!r} {reason}")
        elif dependency not in slugs:
            known = graph.known_steps(slug for slug in slugs if isinstance(slug, str))
            problems.add("unknown_dependency", f"{where}: {dependency!r} is no step of the flow; {known}")
        elif dependency in found:
            problems.add("duplicate_dep", f"{where}: {dependency!r} stands there more than once")
        else:
            found.append(dependency)
    return found


def _shape(step: Mapping[str, Json], dependencies: list[str], place: str, problems: Problems) -> StepShape:
    step_type = step.get("step_type", "single")
    if step_type not in get_args(StepType):
        problems.add("invalid_step_type", f"{place}.step_type must be 'single' or 'map', not {step_type!r}")
    elif step_type == "map" and len(dependencies) > 1:
        problems.add("too_many_map_deps", f"{place}: a map step runs over one step, not over {', '.join(dependencies)}")
    for name in _OPTIONS:
        value = step.get(name)
        if value is not None and (problem := graph.option_problem(name, value)):
            problems.add("invalid_option", f"{place}: {problem}")
    patterns = _patterns(step, place, problems)
    when_unmet, when_exhausted = _modes(step, patterns, place, problems)
    values: dict[str, Any] = {**{name: step.get(name) for name in _OPTIONS}, **patterns}
    return StepShape(
        cast("str", step.get("slug")),
        cast("StepType", step_type),
        tuple(dependencies),
        **values,
        when_unmet=when_unmet,
        when_exhausted=when_exhausted or "fail",
    )


def _patterns(step: Mapping[str, Json], place: str, problems: Problems) -> dict[str, Pattern | None]:
    patterns: dict[str, Pattern | None] = {}
    for name, field in _PATTERNS.items():
        pattern = patterns[field] = step.get(name, step.get("if_") if name == "if" else None)
        if pattern is not None and (problem := graph.pattern_problem(pattern)):
            problems.add("invalid_condition_pattern", f"{place}.{name} {problem}")
    return patterns


def _modes(
    step: Mapping[str, Json], patterns: Mapping[str, Pattern | None], place: str, problems: Problems
) -> tuple[WhenUnmet | None, WhenExhausted | None]:
    modes: list[Any] = []
    for name in ("when_unmet", "when_exhausted"):
        mode = step.get(name)
        mode = mode.replace("_", "-") if isinstance(mode, str) else mode
        if mode is not None and mode not in get_args(WhenUnmet):
            allowed = ", ".join(map(repr, get_args(WhenUnmet)))
            problems.add("invalid_condition_mode", f"{place}.{name} must be one of {allowed}, not {mode!r}")
        modes.append(mode)
    if modes[0] is not None and not any(pattern is not None for pattern in patterns.values()):
        problems.add("when_unmet_requires_condition", f"{place}: when_unmet has no effect without if or if_not")
    return modes[0], modes[1]


def _sorted(steps: Sequence[StepShape], problems: Problems) -> list[StepShape]:
    """Return the steps in their order, save that each comes behind those it waits for."""
    waiting = list(steps)
    placed: dict[str, StepShape] = {}
    while ready := next((step for step in waiting if all(slug in placed for slug in step.dependencies)), None):
        placed[ready.slug] = ready
        waiting.remove(ready)
    if waiting:
        slugs = ", ".join(step.slug for step in waiting)
        problems.add("cycle", f"steps wait for each other in a cycle, or for one that does: {slugs}")
    return list(placed.values())
