from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from pgflow.demo.model import CheckedLink, FrequentWord, LinkOutcome, ReportResult, Summary, WordCount
from pgflow.demo.report import join_sections, render, total, write_atomically
from pgflow.errors import InvalidInput

FOLDER = "/project"
LINKS = [
    CheckedLink("/project/docs/a.md", "fine", "b.md", 3, LinkOutcome.OK, "file exists"),
    CheckedLink("/project/docs/a.md", "gone | away", "c.md", 9, LinkOutcome.BROKEN, "no such file"),
    CheckedLink("https://example.org/", "mail", "mailto:a@example.org", 1, LinkOutcome.NOT_CHECKED, "mailto"),
    CheckedLink("https://example.org/", "far", "https://example.net", 2, LinkOutcome.UNREACHABLE, "no answer in time"),
]
COUNTS = [
    WordCount("/project/docs/a.md", "Title of <A>", 1234, [FrequentWord("flow", 12), FrequentWord("step", 7)]),
    WordCount("https://example.org/", "A page", 0, []),
]
SUMMARIES = [
    Summary("https://example.org/", []),
    Summary("/project/docs/a.md", ["Call __init__ of *it*.", "# is no heading.", "1. is no item."]),
]


def rendered(links: list[CheckedLink] = LINKS) -> str:
    sections = join_sections(COUNTS, SUMMARIES, links)
    return render(sections, total(sections, f"{FOLDER}/report.md"), datetime(2025, 1, 2, 3, 4))


def test_totals_count_documents_words_and_links_by_outcome() -> None:
    sections = join_sections(COUNTS, SUMMARIES, LINKS)
    assert total(sections, "/r.md") == ReportResult("/r.md", 2, 1234, 4, 1, 1, 1)


def test_the_report_begins_with_the_totals() -> None:
    lines = rendered().splitlines()
    assert lines[:3] == ["# Document report", "", "Written by `pgflow demo` on 2025-01-02 at 03:04."]
    assert lines[4:14] == [
        "| Total |  |",
        "| --- | --- |",
        "| Documents | 2 |",
        "| Words | 1,234 |",
        "| Reading time | 6 minutes |",
        "| Links | 4 (2 checked) |",
        "| Broken links | 1 |",
        "| Unreachable links | 1 |",
        "| Links not checked | 1 |",
        "",
    ]


def test_broken_links_are_listed_before_the_documents() -> None:
    report = rendered()
    assert "| docs/a.md, line 9 | `c.md` | no such file |" in report
    assert report.index("## Broken links") < report.index("## Title of")


def test_a_report_without_broken_links_has_no_list_of_them() -> None:
    assert "## Broken links" not in rendered(LINKS[:1])


def test_a_document_has_its_size_its_words_and_its_links_the_worst_first() -> None:
    report = rendered()
    assert "[docs/a.md](<docs/a.md>) · 1,234 words · 6 minutes to read" in report
    assert "Most frequent words: flow (12), step (7)." in report
    assert report.index("| 9 | gone \\| away | `c.md` | **broken** |") < report.index("| 3 | fine | `b.md` | ok |")


def test_text_of_documents_is_no_markup_in_the_report() -> None:
    html = MarkdownIt("commonmark").enable("table").render(rendered())
    assert "<h2>Title of &lt;A&gt;</h2>" in html
    assert "<li>Call __init__ of *it*.</li>" in html
    assert "<li># is no heading.</li>" in html
    assert "<li>1. is no item.</li>" in html
    assert "<td>gone | away</td>" in html


def test_a_document_without_prose_and_links_says_so() -> None:
    report = rendered([])
    assert "Nothing to summarise: the document has no prose." in report
    assert report.count("No links.") == 2


def test_a_report_replaces_the_former_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.md"
    for text in ("first\n", "second\n"):
        write_atomically(str(path), text)
    assert path.read_text(encoding="utf-8") == "second\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"report\.md: the report can't be written: "):
        write_atomically(str(tmp_path / "file" / "report.md"), "text")


def test_a_report_over_a_directory_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "report.md").mkdir()
    with pytest.raises(InvalidInput, match="can't be written"):
        write_atomically(str(tmp_path / "report.md"), "text")
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
