"""The Markdown report: totals, broken links, then each document."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from pgflow.demo.model import CheckedLink, LinkOutcome, ReportResult, Summary, WordCount
from pgflow.demo.sources import is_url
from pgflow.demo.words import reading_minutes
from pgflow.errors import InvalidInput

_MARKUP = re.compile(r"[\\`*\[\]|]|<(?=[A-Za-z/!?])|(?<![^\W_])_|_(?![^\W_])")
_BLOCK_START = re.compile(r"^(?:[#>+\-]|\d+(?=[.)]))")
_OUTCOMES = list(LinkOutcome)


@dataclass(frozen=True, slots=True)
class Section:
    """Everything the report says about one document."""

    count: WordCount
    summary: Summary
    links: list[CheckedLink]

    @property
    def broken(self) -> list[CheckedLink]:
        """The links whose target isn't there."""
        return [link for link in self.links if link.outcome == LinkOutcome.BROKEN]


def join_sections(
    counts: Sequence[WordCount], summaries: Sequence[Summary], links: Sequence[CheckedLink]
) -> list[Section]:
    """Bring the results of the parallel steps together, in the order of `counts`."""
    by_document = {summary.document: summary for summary in summaries}
    return [
        Section(
            count=count,
            summary=by_document[count.document],
            links=[link for link in links if link.document == count.document],
        )
        for count in counts
    ]


def total(sections: Sequence[Section], path: str) -> ReportResult:
    """Return the totals over all documents, with the report's path."""
    outcomes = Counter(link.outcome for section in sections for link in section.links)
    return ReportResult(
        path=path,
        documents=len(sections),
        words=sum(section.count.words for section in sections),
        links=outcomes.total(),
        broken_links=outcomes[LinkOutcome.BROKEN],
        unreachable_links=outcomes[LinkOutcome.UNREACHABLE],
        unchecked_links=outcomes[LinkOutcome.NOT_CHECKED],
    )


def render(sections: Sequence[Section], totals: ReportResult, written_at: datetime) -> str:
    """Return the report as Markdown; links to local documents count from the report's folder."""
    folder = Path(totals.path).parent
    lines = [
        "# Document report",
        "",
        f"Written by `pgflow demo` on {written_at:%Y-%m-%d at %H:%M}.",
        "",
        *_totals(totals),
        "",
        *_broken_links(sections, folder),
    ]
    for section in sections:
        lines += _document(section, folder)
    return "\n".join(lines).rstrip() + "\n"


def write_atomically(path: str, text: str) -> None:
    """Replace the file at `path` by `text`; a reader sees the old report or the new one, never half of it.

    Folders are made as needed. Raises InvalidInput naming the path when it can't be written.
    """
    target = Path(path).resolve()
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise InvalidInput(f"{path}: the report can't be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _totals(totals: ReportResult) -> list[str]:
    checked = totals.links - totals.unreachable_links - totals.unchecked_links
    return _table(
        ("Total", ""),
        [
            ("Documents", f"{totals.documents:,}"),
            ("Words", f"{totals.words:,}"),
            ("Reading time", _reading_time(totals.words)),
            ("Links", f"{totals.links:,} ({checked:,} checked)"),
            ("Broken links", f"{totals.broken_links:,}"),
            ("Unreachable links", f"{totals.unreachable_links:,}"),
            ("Links not checked", f"{totals.unchecked_links:,}"),
        ],
    )


def _broken_links(sections: Sequence[Section], folder: Path) -> Iterator[str]:
    rows = [
        (f"{_name(section.count.document, folder)}, line {link.line}", _code(link.target), _escape(link.detail))
        for section in sections
        for link in section.broken
    ]
    if rows:
        yield from ("## Broken links", "", *_table(("Where", "Target", "Why"), rows), "")


def _document(section: Section, folder: Path) -> Iterator[str]:
    count = section.count
    yield from (f"## {_escape(count.title)}", "")
    yield from (
        f"{_source(count.document, folder)} · {_quantity(count.words, 'word')} · {_reading_time(count.words)} to read",
        "",
    )
    if count.frequent_words:
        words = ", ".join(f"{_escape(frequent.word)} ({frequent.count})" for frequent in count.frequent_words)
        yield from (f"Most frequent words: {words}.", "")
    yield from ("### Summary", "", *_summary(section.summary), "")
    yield from ("### Links", "", *_links(section.links), "")


def _summary(summary: Summary) -> list[str]:
    bullets = [f"- {_BLOCK_START.sub(_escape_start, _escape(sentence))}" for sentence in summary.sentences]
    return bullets or ["Nothing to summarise: the document has no prose."]


def _links(links: Sequence[CheckedLink]) -> list[str]:
    if not links:
        return ["No links."]
    ordered = sorted(links, key=lambda link: (_OUTCOMES.index(link.outcome), link.line))
    rows = [
        (str(link.line), _escape(_shorten(link.text)), _code(link.target), _result(link), _escape(link.detail))
        for link in ordered
    ]
    return _table(("Line", "Text", "Target", "Result", "Detail"), rows)


def _result(link: CheckedLink) -> str:
    return f"**{link.outcome}**" if link.outcome == LinkOutcome.BROKEN else str(link.outcome)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_row(header), _row(["---"] * len(header)), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _source(document: str, folder: Path) -> str:
    address = document if is_url(document) else quote(_relative(document, folder))
    return f"[{_escape(_name(document, folder))}](<{address}>)"


def _name(document: str, folder: Path) -> str:
    """Return how a document is called: a file below the report's folder by its path from there."""
    relative = _relative(document, folder)
    return document if is_url(document) or relative.startswith("..") else relative


def _relative(document: str, folder: Path) -> str:
    try:
        return Path(os.path.relpath(document, folder)).as_posix()
    except ValueError:  # another drive
        return Path(document).as_posix()


def _reading_time(words: int) -> str:
    minutes = reading_minutes(words)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return _quantity(minutes, "minute")
    return f"{_quantity(hours, 'hour')} {_quantity(rest, 'minute')}"


def _quantity(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def _code(text: str) -> str:
    """Return a target as code, where nothing is markup but the cell's end and the backtick."""
    text = _shorten(text, 100).replace("|", "\\|").replace("`", "%60")
    return f"`{text}`" if text else ""


def _escape(text: str) -> str:
    return _MARKUP.sub(lambda match: "\\" + match[0], text)


def _escape_start(match: re.Match[str]) -> str:
    return f"{match[0]}\\" if match[0].isdecimal() else f"\\{match[0]}"
