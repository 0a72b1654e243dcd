"""Rows in columns: as wide as they are for a pipe, as wide as the terminal for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

GAP = "  "
_NARROWEST = 8


@dataclass(frozen=True)
class Column:
    """A column by its title. One that `shrinks` gives its room when the terminal is too narrow for all."""

    title: str
    shrinks: bool = False
    right: bool = False


def print_rows(console: Console, columns: Sequence[Column], rows: Iterable[Sequence[Text | str]]) -> None:
    """Print rows under the titles of their columns; nothing is cut unless a terminal is too narrow."""
    for line in lines_of(columns, list(rows), console.width if console.is_terminal else None):
        print_line(console, line)


def print_line(console: Console, line: Text | str) -> None:
    """Print a line as it is, however long it is and whatever is in it."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def lines_of(
    columns: Sequence[Column], rows: Sequence[Sequence[Text | str]], width: int | None, *, titles: bool = True
) -> list[Text]:
    """Return a line for each row, at most `width` cells wide unless that is None, below a line of `titles`."""
    cells = [[cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row] for row in rows]
    table = [[Text(column.title, style="dim") for column in columns], *cells] if titles else cells
    widths = [max((cell_len(row[place].plain) for row in table), default=0) for place in range(len(columns))]
    if width is not None:
        widths = _shrunk(columns, widths, width)
    lines = [_line(columns, row, widths) for row in table]
    if width is not None:
        for line in lines:
            line.truncate(width, overflow="ellipsis")
    return lines


def fit(text: str, width: int) -> str:
    """Cut the middle out of a text that takes more cells than `width`: both ends of a slug or an id tell it apart."""
    if cell_len(text) <= width:
        return text
    tail = ""
    for character in reversed(text):
        if cell_len(character + tail) > (width - 1) // 2:
            break
        tail = character + tail
    return set_cell_size(text, max(width - 1 - cell_len(tail), 0)) + "…" + tail


def printable(text: str) -> str:
    """Return a text without what could move the cursor or change colours."""
    return "".join(character if character.isprintable() else " " for character in text)


def _shrunk(columns: Sequence[Column], widths: list[int], width: int) -> list[int]:
    """Take room from the widest of the columns that shrink, until all fit or nothing is left to take."""
    widths = list(widths)
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    while excess > 0:
        place = max((n for n, column in enumerate(columns) if column.shrinks), key=lambda n: widths[n], default=None)
        if place is None or widths[place] <= _NARROWEST:
            break
        widths[place] -= 1
        excess -= 1
    return widths


def _style_of(cell: Text) -> str | Style:
    """Return the style of the end of a cell, which is what it is about."""
    return cell.spans[-1].style if cell.spans else cell.style


def _line(columns: Sequence[Column], row: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for place, (column, cell, width) in enumerate(zip(columns, row, widths, strict=True)):
        shown = cell if cell_len(cell.plain) <= width else Text(fit(cell.plain, width), style=_style_of(cell))
        padding = " " * (width - cell_len(shown.plain))
        line.append_text(Text.assemble(padding, shown) if column.right else Text.assemble(shown, padding))
        if place < len(columns) - 1:
            line.append(GAP)
    line.rstrip()
    return line
