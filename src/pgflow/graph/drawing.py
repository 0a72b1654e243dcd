"""A flow's graph as Mermaid, as Graphviz and as a drawing for a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from pgflow.graph.differences import jsonb_text
from pgflow.graph.outline import outline
from pgflow.graph.shape import FlowShape, StepShape

WIDTH: Final = 80
"""Columns that a drawing for a terminal takes at most."""

_INDENT: Final = "  "
_NAME_WIDTH: Final = 40
_CONDITION_WIDTH: Final = 48


def mermaid(shape: FlowShape) -> str:
    """Return the graph in Mermaid's language; map steps are drawn with double sides, conditions under the slug."""
    names = _node_names(shape)
    lines = ["flowchart TD"]
    for step in shape.steps:
        label = "<br/>".join(_mermaid_text(line) for line in _label_lines(step))
        opening, closing = ("[[", "]]") if step.step_type == "map" else ("[", "]")
        lines.append(f'    {names[step.slug]}{opening}"{label}"{closing}')
    for step, dependency in _edges(shape):
        arrow = "-->|each|" if step.step_type == "map" else "-->"
        lines.append(f"    {names[dependency]} {arrow} {names[step.slug]}")
    return "\n".join(lines) + "\n"


def dot(shape: FlowShape) -> str:
    """Return the graph in Graphviz's language; map steps are drawn as three-dimensional boxes."""
    lines = [f"digraph {_dot_text(shape.slug)} {{", "    node [shape=box];"]
    for step in shape.steps:
        label = _dot_text("\n".join(_label_lines(step)))
        form = ", shape=box3d" if step.step_type == "map" else ""
        lines.append(f"    {_dot_text(step.slug)} [label={label}{form}];")
    for step, dependency in _edges(shape):
        form = ' [label="each"]' if step.step_type == "map" else ""
        lines.append(f"    {_dot_text(dependency)} -> {_dot_text(step.slug)}{form};")
    return "\n".join([*lines, "}"]) + "\n"


def text(shape: FlowShape) -> str:
    """Return a drawing for a terminal, at most 80 columns wide, that reads from top to bottom.

    Steps that run side by side are branches, and what joins them is back where they began. A step waits for the one
    above it, unless its line names those that it waits for; `each of` marks a map step.
    """
    by_slug = {step.slug: step for step in shape.steps}
    drawn = [(lead, by_slug[slug]) for lead, slug in outline({step.slug: step.dependencies for step in shape.steps})]
    names = [_INDENT + lead + _fit(step.slug, max(_NAME_WIDTH - len(lead), 8)) for lead, step in drawn]
    width = max(map(_columns, names), default=0)
    lines = [_fit(shape.slug, WIDTH)]
    for name, (lead, step) in zip(names, drawn, strict=True):
        is_obvious = step.step_type == "single" and len(step.dependencies) == 1
        sources = [] if is_obvious else list(_source_lines(step, WIDTH - width - 1))
        lines.append(f"{name}{' ' * (width - _columns(name))} {sources[0] if sources else ''}")
        following = _INDENT + lead.replace("├─ ", "│  ").replace("└─ ", "   ")
        lines += [f"{following}{' ' * (width - len(following))} {line}" for line in sources[1:]]
        lines += [f"{following}  {line}" for line in _condition_lines(step)]
    return "\n".join(_fit(line.rstrip(), WIDTH) for line in lines) + "\n"


def _source_lines(step: StepShape, width: int) -> Iterator[str]:
    """Yield `◀ one, other` in lines that fit."""
    if step.step_type == "map":
        source = step.dependencies[0] if step.dependencies else "the flow's input"
        yield "◀ each of " + _fit(source, width - 10)
        return
    line = "◀"
    for index, dependency in enumerate(step.dependencies, start=1):
        word = " " + _fit(dependency, width - 3) + ("," if index < len(step.dependencies) else "")
        if _columns(line + word) > width:
            yield line
            line = " "
        line += word
    if step.dependencies:
        yield line


def _label_lines(step: StepShape) -> list[str]:
    return [step.slug, *_condition_lines(step)]


def _condition_lines(step: StepShape) -> Iterator[str]:
    conditions = (("if", step.required_input_pattern), ("if not", step.forbidden_input_pattern))
    unmet = f", else {step.when_unmet or 'skip'}"
    texts = [
        f"{word} {_fit(jsonb_text(pattern), _CONDITION_WIDTH)}" for word, pattern in conditions if pattern is not None
    ]
    yield from texts[:-1]
    if texts:
        yield texts[-1] + unmet
    if step.when_exhausted != "fail":
        yield f"when exhausted: {step.when_exhausted}"


def _edges(shape: FlowShape) -> Iterator[tuple[StepShape, str]]:
    known = {step.slug for step in shape.steps}
    for step in shape.steps:
        for dependency in step.dependencies:
            if dependency in known:
                yield step, dependency


def _node_names(shape: FlowShape) -> dict[str, str]:
    """Return names that are safe in Mermaid, where slugs such as `end` are words of the language."""
    return {step.slug: f"step{index}" for index, step in enumerate(shape.steps)}


def _mermaid_text(line: str) -> str:
    """Write the characters that mean something to Mermaid or HTML as entities."""
    return re.sub(r"[#&\"<>`\\]", lambda found: f"#{ord(found[0])};", line)


def _dot_text(label: str) -> str:
    return '"' + label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _fit(line: str, width: int) -> str:
    """Cut the middle out of a line that is wider than `width` columns."""
    if _columns(line) <= width:
        return line
    head, tail = "", ""
    for front, back in zip(line, reversed(line), strict=True):
        if _columns(head + front) + _columns(tail) > width - 1:
            break
        head += front
        if _columns(head) + _columns(back + tail) > width - 1:
            break
        tail = back + tail
    return f"{head}…{tail}"


def _columns(line: str) -> int:
    return sum(_character_columns(character) for character in line)


def _character_columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
