"""HTML: prose of the main part, links and anchors of the whole page."""

from __future__ import annotations

from urllib.parse import urljoin

from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag

from pgflow.demo.model import Content, Link
from pgflow.demo.plain import squeeze

_PROSE_BLOCKS = {"p", "li", "dd", "blockquote"}
_OTHER_BLOCKS = {
    "address", "article", "body", "caption", "div", "dl", "dt", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6",
    "html", "main", "ol", "section", "summary", "table", "td", "th", "tr", "ul",
}  # fmt: skip
_NO_PROSE = [
    "aside", "button", "footer", "form", "head", "nav", "noscript", "pre", "script", "select", "style", "svg",
    "template", "textarea",
]  # fmt: skip
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}


def parse_html(text: str) -> Content:
    """Return the page's title, prose, links and anchors.

    Prose comes from the `main` or `article` element where there is one, without navigation, forms, code blocks and
    scripts. A page that uses no paragraph elements gives the text of its other blocks, headings excluded.
    """
    soup = BeautifulSoup(text, "html.parser")
    title, links, anchors = _title(soup), _links(soup), _anchors(soup)
    return Content(title=title, paragraphs=_paragraphs(soup), links=links, anchors=anchors)


def _title(soup: BeautifulSoup) -> str:
    # A title inside a drawing is the drawing's, not the page's.
    titles = [tag for tag in soup.find_all(["title", "h1"]) if tag.find_parent("svg") is None]
    texts = [squeeze(tag.get_text(" ")) for tag in sorted(titles, key=lambda tag: tag.name != "title")]
    return next((text for text in texts if text), "")


def _links(soup: BeautifulSoup) -> list[Link]:
    base = soup.find("base", href=True)
    prefix = str(base["href"]) if isinstance(base, Tag) else ""
    return [
        Link(_link_text(tag), squeeze(_join(prefix, str(tag["href"]))), tag.sourceline or 1)
        for tag in soup.find_all(["a", "area"], href=True)
    ]


def _join(prefix: str, target: str) -> str:
    try:
        return urljoin(prefix, target) if prefix else target
    except ValueError:
        return target


def _link_text(tag: Tag) -> str:
    image = tag.find("img", alt=True)
    alternative = str(image["alt"]) if isinstance(image, Tag) else ""
    return squeeze(tag.get_text(" ")) or squeeze(str(tag.get("title") or tag.get("aria-label") or alternative))


def _anchors(soup: BeautifulSoup) -> list[str]:
    identified = [str(tag["id"]) for tag in soup.find_all(id=True)]
    named = [str(tag["name"]) for tag in soup.find_all("a", attrs={"name": True})]
    return list(dict.fromkeys(squeeze(anchor) for anchor in (*identified, *named)))


def _paragraphs(soup: BeautifulSoup) -> list[str]:
    for tag in soup.find_all(_NO_PROSE):
        tag.decompose()
    for line_break in soup.find_all("br"):
        line_break.replace_with("\n")
    blocks = _blocks(soup.find("main") or soup.find("article") or soup)
    prose = [text for name, text in blocks if name in _PROSE_BLOCKS]
    return prose or [text for name, text in blocks if name not in _HEADINGS]


def _blocks(root: Tag) -> list[tuple[str, str]]:
    """Return name and text of every block element, each piece of text once, in its innermost block."""
    pieces: dict[int, tuple[str, list[str]]] = {}
    for string in root.find_all(string=True):
        if type(string) is NavigableString:
            block = string.find_parent([*_PROSE_BLOCKS, *_OTHER_BLOCKS])
            pieces.setdefault(id(block), (block.name if block else "", []))[1].append(string)
    texts = [(name, squeeze("".join(strings))) for name, strings in pieces.values()]
    return [(name, text) for name, text in texts if text]
