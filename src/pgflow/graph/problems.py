"""What can be wrong with a shape, all of it at once."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, get_args

from pgflow.graph.shape import FlowShape, StepShape, StepType, WhenExhausted, WhenUnmet

SLUG_LIMIT: Final = 128
FLOW_SLUG_LIMIT: Final = 47
"""A flow's slug names a queue, and pgmq takes no longer names."""

LARGEST_OPTION: Final = 2_147_483_647
RESERVED_SLUGS: Final = frozenset({"run"})

_SLUG = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SMALLEST_OPTION: Final = {"max_attempts": 1, "base_delay": 0, "timeout": 1, "start_delay": 0}
_PATTERN_DEPTH: Final = 100


def is_valid_slug(slug: object) -> bool:
    """Whether a slug follows the contract: ASCII letters, digits and `_`, no digit first, 1 to 128 long, not `run`."""
    return slug_problem(slug) is None


def slug_problem(slug: object, *, limit: int = SLUG_LIMIT) -> str | None:
    """Return why a slug isn't valid, or None if it is."""
    match slug:
        case str() if not slug:
            return "is empty"
        case str() if slug in RESERVED_SLUGS:
            return "is reserved"
        case str() if slug[0] in "0123456789":
            return "starts with a digit"
        case str() if not _SLUG.fullmatch(slug):
            return "may hold ASCII letters, digits and underscores only"
        case str() if len(slug) > limit:
            return f"is {len(slug)} characters long, more than {limit}"
        case str():
            return None
        case _:
            return f"is no text but {type(slug).__name__}"


def problems(shape: FlowShape) -> list[str]:
    """Return everything that is wrong with a shape, in the order of the declaration; an empty list if nothing is."""
    found = flow_problems(shape)
    if not shape.steps:
        found.append(f"flow {shape.slug!r} has no steps; a flow needs at least one")
    slugs = [step.slug for step in shape.steps]
    for index, step in enumerate(shape.steps):
        found += step_problems(step, slugs[:index], slugs[index + 1 :])
    return found + [_cycle_text(cycle) for cycle in _cycles(shape.steps)]


def flow_problems(shape: FlowShape) -> list[str]:
    """Return what is wrong with a flow's slug and options, its steps left aside."""
    found = []
    reason = slug_problem(shape.slug, limit=FLOW_SLUG_LIMIT)
    if reason:
        found.append(f"flow slug {shape.slug!r} {reason}")
    for name in ("max_attempts", "base_delay", "timeout"):
        problem = option_problem(name, getattr(shape, name))
        if problem:
            found.append(f"flow {shape.slug!r}: {problem}")
    return found


def step_problems(step: StepShape, earlier: Sequence[str], later: Collection[str] = ()) -> list[str]:
    """Return what is wrong with a step; `earlier` and `later` are the slugs of the flow's other steps."""
    reason = slug_problem(step.slug)
    found = [f"step slug {step.slug!r} {reason}"] if reason else []
    details = (
        *_dependency_problems(step, earlier, later),
        *_option_problems(step),
        *_condition_problems(step),
        *_mode_problems(step),
    )
    return found + [f"step {step.slug!r}: {detail}" for detail in details]


def _dependency_problems(step: StepShape, earlier: Sequence[str], later: Collection[str]) -> Iterator[str]:
    if step.slug in earlier:
        yield "the flow has a step of this slug already"
    if step.step_type == "map" and len(step.dependencies) > 1:
        yield f"a map step runs over one step, not over {', '.join(map(str, step.dependencies))}"
    for dependency in dict.fromkeys(step.dependencies):
        if step.dependencies.count(dependency) > 1:
            yield f"depends on {dependency!r} more than once"
        if dependency == step.slug:
            yield "depends on itself"
        elif dependency in later and dependency not in earlier:
            yield f"depends on {dependency!r}, which is declared later; declare it first"
        elif dependency not in earlier:
            yield f"depends on {dependency!r}, which is no step of the flow; {known_steps(earlier)}"


def known_steps(slugs: Iterable[str]) -> str:
    """Return the part of a message that lists the steps known so far."""
    return f"known steps: {', '.join(slugs) or 'none'}"


def _option_problems(step: StepShape) -> Iterator[str]:
    for name in _SMALLEST_OPTION:
        value = getattr(step, name)
        problem = None if value is None else option_problem(name, value)
        if problem:
            yield problem


def option_problem(name: str, value: object) -> str | None:
    """Return why an option can't have a value, or None if it can."""
    smallest = _SMALLEST_OPTION[name]
    if not isinstance(value, int) or isinstance(value, bool):
        return f"{name} must be an integer, not {value!r}"
    if not smallest <= value <= LARGEST_OPTION:
        return f"{name} must be from {smallest} to {LARGEST_OPTION}, not {value}"
    return None


def _condition_problems(step: StepShape) -> Iterator[str]:
    patterns = {"if_": step.required_input_pattern, "if_not": step.forbidden_input_pattern}
    for name, pattern in patterns.items():
        problem = None if pattern is None else pattern_problem(pattern)
        if problem:
            yield f"{name} {problem}"
    if step.when_unmet is not None and not any(pattern is not None for pattern in patterns.values()):
        yield "when_unmet has no effect without if_ or if_not"


def pattern_problem(pattern: object) -> str | None:
    """Return why something is no pattern of a condition, or None if it is one."""
    if not isinstance(pattern, Mapping):
        return f"must be an object (a dict), not {type(pattern).__name__}"
    return next(_json_problems(dict(pattern), "$"), None)


def _json_problems(value: object, path: str) -> Iterator[str]:
    """Yield what jsonb would refuse in a pattern."""
    match value:
        case str():
            if "\0" in value or not _is_unicode(value):
                yield f"holds a character at {path} that PostgreSQL can't store"
        case float():
            if not math.isfinite(value):
                yield f"holds {value} at {path}, which is no JSON number"
        case None | bool() | int():
            return
        case dict() | list() | tuple() if path.count("[") >= _PATTERN_DEPTH:
            yield f"is nested deeper than {_PATTERN_DEPTH} levels"
        case dict():
            for key, part in value.items():
                yield from _json_problems(part, f"{path}[{key!r}]")
                if not isinstance(key, str):
                    yield f"has the key {key!r} at {path}; keys of JSON objects are texts"
                yield from _json_problems(str(key), f"{path}[{key!r}]")
        case list() | tuple():
            for index, part in enumerate(value):
                yield from _json_problems(part, f"{path}[{index}]")
        case _:
            yield f"holds a {type(value).__name__} at {path}, which is not JSON"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mode_problems(step: StepShape) -> Iterator[str]:
    modes = (
        ("step_type", step.step_type, get_args(StepType)),
        ("when_unmet", step.when_unmet or "skip", get_args(WhenUnmet)),
        ("when_exhausted", step.when_exhausted, get_args(WhenExhausted)),
    )
    for name, value, allowed in modes:
        if value not in allowed:
            yield f"{name} must be {' or '.join(map(repr, allowed))}, not {value!r}"


def _cycles(steps: Sequence[StepShape]) -> list[list[str]]:
    """Return the cycles that following the first unsettled dependency of each step runs into."""
    waiting = {step.slug: [slug for slug in step.dependencies if slug != step.slug] for step in steps}
    while settled := [slug for slug, needs in waiting.items() if not any(need in waiting for need in needs)]:
        for slug in settled:
            del waiting[slug]
    cycles = []
    while waiting:
        path = [next(iter(waiting))]
        while (following := next((need for need in waiting[path[-1]] if need in waiting), None)) not in (*path, None):
            path.append(str(following))
        if following is not None:
            cycles.append([*path[path.index(following) :], following])
        for slug in path:
            del waiting[slug]
    return cycles


def _cycle_text(cycle: Sequence[str]) -> str:
    return f"steps depend on each other in a cycle: {' -> '.join(cycle)}"
