"""Rows in columns."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from pgflow.cli.tables import Column, fit, lines_of, printable

COLUMNS = [Column("id"), Column("name", shrinks=True), Column("note", shrinks=True), Column("age", right=True)]
ROWS = [["1", "n" * 40, "幅の広い文字 🎉 " * 3, "5s"], ["22", "short", "", "12m05s"]]


def texts(width: int | None) -> list[str]:
    return [line.plain for line in lines_of(COLUMNS, ROWS, width)]


def test_columns_are_as_wide_as_their_rows() -> None:
    first, second, third = texts(None)
    assert first.startswith("id  name ")
    assert second.startswith("1   " + "n" * 40 + "  幅の広い文字 🎉 幅の")
    assert (second.endswith("      5s"), third.endswith("  12m05s")) == (True, True)
    assert cell_len(first) == cell_len(second) == cell_len(third)


@pytest.mark.parametrize("width", [10, 30, 60, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(cell_len(line) for line in texts(width)) <= width


def test_columns_that_shrink_share_what_is_left() -> None:
    assert texts(50)[1] == "1   nnnnnnnnn…nnnnnnnn  幅の広い …文字 🎉       5s"


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "ab…ef"),
        ("abcdef", 4, "ab…f"),
        ("abcdef", 1, "…"),
        ("幅の広い", 5, "幅…い"),
    ],
)
def test_the_middle_is_cut_out(text: str, width: int, shown: str) -> None:
    assert fit(text, width) == shown


@pytest.mark.parametrize("width", range(1, 12))
def test_what_is_cut_fits(width: int) -> None:
    assert cell_len(fit("幅a🎉の広い文字", width)) <= width


def test_control_characters_are_blanks() -> None:
    assert printable("a\x1b[2J\tb\x07") == "a [2J b "
