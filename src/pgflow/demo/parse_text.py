"""Plain text: paragraphs between blank lines, links where a web address stands."""

from __future__ import annotations

import re

from pgflow.demo.model import Content, Link
from pgflow.demo.plain import squeeze, web_addresses

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n")


def parse_text(text: str) -> Content:
    """Return paragraphs and web addresses; plain text has neither title nor anchors."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    paragraphs = [squeeze(block) for block in _BLANK_LINES.split(unified)]
    links = [
        Link(address, address, number)
        for number, line in enumerate(unified.split("\n"), start=1)
        for address in web_addresses(line)
    ]
    return Content(title="", paragraphs=[block for block in paragraphs if block], links=links, anchors=[])
