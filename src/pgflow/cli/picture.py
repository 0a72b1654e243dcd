"""The picture of a run: a line for it, its steps as a tree with a line for each, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from pgflow.cli.output import STYLES, duration, shown_status
from pgflow.cli.tables import Column, fit, lines_of, printable
from pgflow.graph import outline
from pgflow.types import RunRow, StepProgress, StepState

Dependencies: TypeAlias = Mapping[str, Iterable[str]]

SIGNS = {"completed": "✔", "failed": "✘", "started": "●", "skipped": "⤼", "created": "·"}
_COLUMNS = (Column("step", shrinks=True), Column("time", right=True), Column("bar"), Column("remark"))
_WIDTH_OF_BAR = 14
_NARROWEST_NAME = 8
_MOST_TROUBLES = 5
_LEAST_STEPS = 3


@dataclass(frozen=True)
class RunPicture:
    """What rich prints for a run: cut to the width of a terminal, and while it is `live` to its height."""

    run: RunRow
    steps: Sequence[StepState]
    progress: Mapping[str, StepProgress]
    dependencies: Dependencies = field(default_factory=dict)
    """What each step waits for; a step that isn't there stands on its own."""
    tags: Sequence[str] = ()
    trouble: str | None = None
    live: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width if console.is_terminal else None
        above = [self._head(width)]
        above += [Text(f"tags {', '.join(map(printable, self.tags))}", style="dim")] if self.tags else []
        above += [Text(self.trouble, style="bold red")] if self.trouble else []
        below = self._troubles()
        steps = self._step_lines(width)
        if self.live:
            below = _first(below, _MOST_TROUBLES)
            steps = self._window(steps, max(console.height - len(above) - len(below) - 1, _LEAST_STEPS))
        for line in (*above, *steps, *below):
            if width is not None:
                line.truncate(width, overflow="ellipsis")
            yield line

    def _head(self, width: int | None) -> Text:
        rest = Text.assemble(
            "  ",
            (shown_status(self.run), STYLES.get(shown_status(self.run), "")),
            "  ",
            (duration(self.run.started_at, self._end()), "dim"),
            "  ",
            (str(self.run.run_id), "dim"),
        )
        slug = self.run.flow_slug
        return Text(slug if width is None else fit(slug, max(width - len(rest), _NARROWEST_NAME)), style="bold") + rest

    def _end(self) -> datetime:
        """Return when the run ended, else now: until then goes what has begun."""
        return self.run.completed_at or self.run.failed_at or datetime.now(UTC)

    def _step_lines(self, width: int | None) -> list[Text]:
        by_slug = {step.step_slug: step for step in self.steps}
        longest = None if width is None else max(width // 2, _NARROWEST_NAME)
        rows = [self._cells(by_slug[slug], lead, longest) for lead, slug in self._order(by_slug)]
        has_bars = any(_is_counted(step) for step in self.steps)
        kept = [place for place in range(len(_COLUMNS)) if has_bars or _COLUMNS[place].title != "bar"]
        columns = [_COLUMNS[place] for place in kept]
        return lines_of(columns, [[row[place] for place in kept] for row in rows], width, titles=False)

    def _order(self, by_slug: Mapping[str, StepState]) -> list[tuple[str, str]]:
        if not all(slug in self.dependencies for slug in by_slug):
            return [("", slug) for slug in by_slug]
        return outline({slug: self.dependencies[slug] for slug in by_slug})

    def _cells(self, step: StepState, lead: str, longest: int | None) -> list[Text]:
        given_up = self.run.ended and step.status == "started"
        style = "dim" if given_up else STYLES.get(step.status, "")
        tasks = self.progress.get(step.step_slug)
        slug = step.step_slug if longest is None else fit(step.step_slug, max(longest - len(lead), _NARROWEST_NAME))
        name = Text.assemble((SIGNS.get(step.status, "?"), style), f" {lead}", (slug, style))
        end = step.completed_at or step.failed_at or step.skipped_at or self._end()
        bar = _bar(tasks.completed if tasks else 0, step.initial_tasks or 0) if _is_counted(step) else Text()
        return [
            name,
            Text(duration(step.started_at, end), style="dim"),
            bar,
            Text(_remark(step, tasks, given_up), style="dim"),
        ]

    def _troubles(self) -> list[Text]:
        reason = self.run.cancel_reason
        why = [Text(f"cancelled: {printable_line(reason)}", style=STYLES["cancelled"])] if reason else []
        return why + [line for step in self.steps if (line := _trouble(step, self.progress.get(step.step_slug)))]

    def _window(self, lines: list[Text], height: int) -> list[Text]:
        """Return the lines around the first step that isn't done, with how many there are above and below."""
        if len(lines) <= height:
            return lines
        going_on = next((n for n, line in enumerate(lines) if line.plain[:1] == SIGNS["started"]), 0)
        start = min(max(going_on - height // 3, 0), len(lines) - height)
        shown = lines[start : start + height]
        if start:
            shown[0] = Text(f"  … {start + 1} steps above", style="dim")
        if left := len(lines) - start - height:
            shown[-1] = Text(f"  … {left + 1} steps below", style="dim")
        return shown


def printable_line(text: str) -> str:
    """Return the first line of a text, without control characters."""
    lines = text.strip().splitlines()
    return printable(lines[0]) if lines else ""


def _is_counted(step: StepState) -> bool:
    """Whether a step has tasks enough for a bar."""
    return (step.initial_tasks or 0) > 1


def _bar(done: int, tasks: int) -> Text:
    filled = min(_WIDTH_OF_BAR * done // tasks, _WIDTH_OF_BAR)
    return Text.assemble(("━" * filled, "green"), ("─" * (_WIDTH_OF_BAR - filled), "dim"))


def _remark(step: StepState, tasks: StepProgress | None, given_up: bool) -> str:
    parts: list[str] = []
    if tasks and _is_counted(step):
        parts.append(f"{tasks.completed:,}/{step.initial_tasks:,}")
        if step.status == "started" and tasks.started and not given_up:
            parts.append(f"{tasks.started:,} running")
        if tasks.failed:
            parts.append(f"{tasks.failed:,} failed")
    if tasks and tasks.attempts > 1:
        parts.append(f"attempt {tasks.attempts}")
    if step.skip_reason:
        parts.append(step.skip_reason.replace("_", " "))
    return ", ".join(parts)


def _trouble(step: StepState, tasks: StepProgress | None) -> Text | None:
    """Return what went wrong in a step, on one line; None where nothing did, or a retry has made good for it."""
    message = step.error_message or (tasks.error_message if tasks and step.status == "started" else None)
    if not message or not message.strip():
        return None
    return Text(f"{step.step_slug}: {printable_line(message)}", style="red" if step.error_message else "dim")


def _first(lines: list[Text], most: int) -> list[Text]:
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], Text(f"… {len(lines) - most + 1} more errors", style="dim")]
