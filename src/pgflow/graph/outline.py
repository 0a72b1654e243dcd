"""A graph as lines that read from top to bottom: branches are indented, and what joins them is not.

::

    fetch
    ├─ summary
    ├─ check_links
    │  count_links
    save
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

Dependencies: TypeAlias = Mapping[str, Iterable[str]]
_ROOT = ""


def outline(dependencies: Dependencies) -> list[tuple[str, str]]:
    """Return the steps, each with what is drawn before it, in an order in which each follows what it waits for.

    A step stands below the last one that everything before it has in common. `dependencies` are given by step, in the
    order of their declaration; those that aren't steps themselves are left out.
    """
    known = _in_order({step: [each for each in given if each in dependencies] for step, given in dependencies.items()})
    parents = _common_ancestors(known)
    children: dict[str, list[str]] = {}
    for step in known:
        children.setdefault(parents[step], []).append(step)
    return list(_lines(children, known, parents))


def _in_order(dependencies: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Sort steps behind what they wait for, as little as possible; those of a circle come last."""
    left, sorted_ = dict(dependencies), dict[str, Sequence[str]]()
    while ready := next((step for step, needs in left.items() if all(each in sorted_ for each in needs)), None):
        sorted_[ready] = left.pop(ready)
    return {**sorted_, **{step: [] for step in left}}


def _common_ancestors(dependencies: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return for each step the last step that all ways to it go through."""
    parents: dict[str, str] = {}
    depths = {_ROOT: 0}
    for step, needs in dependencies.items():
        found: str | None = None
        for need in needs:
            found = need if found is None else _meeting(found, need, parents, depths)
        parents[step] = _ROOT if found is None else found
        depths[step] = depths[parents[step]] + 1
    return parents


def _meeting(one: str, other: str, parents: Mapping[str, str], depths: Mapping[str, int]) -> str:
    while one != other:
        if depths[one] < depths[other]:
            one, other = other, one
        one = parents[one]
    return one


def _lines(
    children: Mapping[str, Sequence[str]], dependencies: Mapping[str, Sequence[str]], parents: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield all steps, each followed by what is below it."""
    waiting = [(_ROOT, "", "")]
    while waiting:
        above, lead, indent = waiting.pop()
        if above != _ROOT:
            yield lead, above
        below = [
            (step, *_indents(indent, is_alone=len(layer) == 1, is_last=step == layer[-1]))
            for layer in _layers(above, children.get(above, ()), dependencies, parents)
            for step in layer
        ]
        waiting.extend(reversed(below))


def _indents(indent: str, *, is_alone: bool, is_last: bool) -> tuple[str, str]:
    """Return what stands before a step, and before all that is below it."""
    if is_alone:
        return indent, indent
    return (f"{indent}└─ ", f"{indent}   ") if is_last else (f"{indent}├─ ", f"{indent}│  ")


def _layers(
    above: str, steps: Sequence[str], dependencies: Mapping[str, Sequence[str]], parents: Mapping[str, str]
) -> list[list[str]]:
    """Return the steps right below a step in layers: each waits for nothing in its own layer or below."""
    places: dict[str, int] = {}
    layers: list[list[str]] = []
    for step in steps:
        before = (_branch(need, above, parents) for need in dependencies[step] if need != above)
        place = 1 + max((places[branch] for branch in before), default=-1)
        places[step] = place
        if place == len(layers):
            layers.append([])
        layers[place].append(step)
    return layers


def _branch(step: str, above: str, parents: Mapping[str, str]) -> str:
    """Return the step right below `above` that a step belongs to."""
    while parents[step] != above:
        step = parents[step]
    return step
