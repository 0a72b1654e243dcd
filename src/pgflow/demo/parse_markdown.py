"""Markdown: paragraphs and list items as prose, links with their lines, anchors as code hosts make them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pgflow.demo.model import Content, Link
from pgflow.demo.parse_html import parse_html
from pgflow.demo.plain import squeeze, web_addresses

_FRONT_MATTER = re.compile(r"\A---[^\S\n]*\n(.*?\n)??---[^\S\n]*(?:\n|\Z)", re.DOTALL)
_FRONT_MATTER_TITLE = re.compile(r"^title:[^\S\n]*(.+?)[^\S\n]*$", re.MULTILINE)
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


def parse_markdown(text: str) -> Content:
    """Return title, prose, links and anchors of CommonMark with tables.

    Headings, tables, code blocks and front matter are no prose. The title is the first heading of level one, else the
    front matter's, else that of HTML inside, else the first heading.
    """
    body, front_title = _without_front_matter(text)
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    headings, embedded = list(_headings(tokens)), list(_html(tokens))
    return Content(
        title=_title(headings, [front_title, *(content.title for content in embedded)]),
        paragraphs=[paragraph for paragraph in _paragraphs(tokens) if paragraph],
        links=list(_links(tokens)),
        anchors=_anchors([heading for _, heading in headings], embedded),
    )


def heading_anchor(heading: str) -> str:
    """Return the anchor that code hosts give a heading: lower case, punctuation dropped, blanks as hyphens."""
    return _NOT_IN_ANCHOR.sub("", heading.strip().lower()).replace(" ", "-")


def _without_front_matter(text: str) -> tuple[str, str]:
    """Blank the front matter out, keeping its lines so that line numbers stay right; return its title too."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    matter = _FRONT_MATTER.match(unified)
    if matter is None:
        return unified, ""
    title = _FRONT_MATTER_TITLE.search(matter[0])
    return "\n" * matter[0].count("\n") + unified[matter.end() :], title[1].strip("\"'") if title else ""


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[str, str]]:
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            yield opening.tag, _plain(inline.children or ())


def _title(headings: Sequence[tuple[str, str]], others: Sequence[str]) -> str:
    top = [text for tag, text in headings if tag == "h1"]
    candidates = (squeeze(text) for text in (*top, *others, *(text for _, text in headings)))
    return next((title for title in candidates if title), "")


def _paragraphs(tokens: Sequence[Token]) -> Iterator[str]:
    for index, token in enumerate(tokens):
        if token.type == "paragraph_open":
            yield squeeze(_plain(tokens[index + 1].children or ()))
        elif token.type == "html_block":
            yield from parse_html(token.content).paragraphs


def _plain(children: Iterable[Token]) -> str:
    return "".join(_plain_piece(child) for child in children)


def _plain_piece(child: Token) -> str:
    match child.type:
        case "text" | "code_inline":
            return child.content
        case "softbreak" | "hardbreak":
            return " "
        case _:
            return ""


def _html(tokens: Iterable[Token]) -> Iterator[Content]:
    for token in tokens:
        if token.type in ("html_block", "html_inline"):
            yield parse_html(token.content)
        yield from _html(token.children or ())


def _anchors(headings: Iterable[str], embedded: Iterable[Content]) -> list[str]:
    repeated: dict[str, int] = {}
    anchors: list[str] = []
    for heading in headings:
        anchor = heading_anchor(heading)
        count = repeated.get(anchor, 0)
        repeated[anchor] = count + 1
        anchors.append(squeeze(f"{anchor}-{count}" if count else anchor))
    return [*anchors, *(anchor for content in embedded for anchor in content.anchors)]


def _links(tokens: Iterable[Token]) -> Iterator[Link]:
    for token in tokens:
        line = token.map[0] + 1 if token.map else 1
        if token.type == "html_block":
            yield from _links_in_html(token, line)
        elif token.type == "inline":
            yield from _links_in_line(token.children or [], line)


def _links_in_html(token: Token, line: int) -> Iterator[Link]:
    return (Link(link.text, link.target, line + link.line - 1) for link in parse_html(token.content).links)


def _links_in_line(children: Sequence[Token], line: int) -> Iterator[Link]:
    inside_link = False
    for index, child in enumerate(children):
        match child.type:
            case "softbreak" | "hardbreak":
                line += 1
            case "html_inline":
                yield from _links_in_html(child, line)
            case "link_open":
                inside_link = True
                yield Link(_link_text(children[index + 1 :]), squeeze(str(child.attrs.get("href", ""))), line)
            case "link_close":
                inside_link = False
            case "text" if not inside_link:
                yield from (Link(address, address, line) for address in web_addresses(child.content))


def _link_text(following: Sequence[Token]) -> str:
    end = next(index for index, child in enumerate(following) if child.type == "link_close")
    images = " ".join(child.content for child in following[:end] if child.type == "image")
    return squeeze(_plain(following[:end])) or squeeze(images)
