"""The values that travel between the steps of the demo flow."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """Input of the flow: which files or URLs to analyse, and the path of the Markdown report to write."""

    documents: list[str]
    report_path: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it stands in a document; `line` counts from 1."""

    text: str
    target: str
    line: int


@dataclass(frozen=True, slots=True)
class Content:
    """What a parser finds in a text: `paragraphs` hold prose only, `anchors` are the fragments links can point to."""

    title: str
    paragraphs: list[str]
    links: list[Link]
    anchors: list[str]


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read.

    `name` is what the user asked for; `location` is the absolute path or, after redirects, the URL that relative
    links count from.
    """

    name: str
    location: str
    title: str
    paragraphs: list[str]
    links: list[Link]
    anchors: list[str]


class LinkOutcome(StrEnum):
    """What came of checking a link, the worst first."""

    BROKEN = "broken"
    UNREACHABLE = "unreachable"
    NOT_CHECKED = "not checked"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a check and the reason in a few words."""

    outcome: LinkOutcome
    detail: str


@dataclass(frozen=True, slots=True)
class LinkToCheck:
    """One element of the map step: a link and where its document is.

    `known` is the verdict where the document itself already answers, as for its own anchors.
    """

    document: str
    location: str
    text: str
    target: str
    line: int
    known: Verdict | None = None


@dataclass(frozen=True, slots=True)
class CheckedLink:
    """A link with its verdict."""

    document: str
    text: str
    target: str
    line: int
    outcome: LinkOutcome
    detail: str


@dataclass(frozen=True, slots=True)
class FrequentWord:
    """A word and how often it occurs."""

    word: str
    count: int


@dataclass(frozen=True, slots=True)
class WordCount:
    """The words of one document's prose, with its title."""

    document: str
    title: str
    words: int
    frequent_words: list[FrequentWord]


@dataclass(frozen=True, slots=True)
class Summary:
    """The sentences that stand for one document, in its order."""

    document: str
    sentences: list[str]


@dataclass(frozen=True, slots=True)
class ReportResult:
    """Output of the flow: where the report is, and its totals. `broken_links` counts neither other outcome."""

    path: str
    documents: int
    words: int
    links: int
    broken_links: int
    unreachable_links: int
    unchecked_links: int
