"""Helpers on plain text that all parsers share."""

from __future__ import annotations

import re

_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"'`|\\^{}]+", re.IGNORECASE)
_NOT_STORABLE = re.compile(r"[\x00\ud800-\udfff]")
_BRACKETS = {")": "(", "]": "["}


def squeeze(text: str) -> str:
    """Return text on one line, without characters that JSON in PostgreSQL refuses."""
    return " ".join(_NOT_STORABLE.sub("\ufffd", text).split())


def web_addresses(text: str) -> list[str]:
    """Return every http and https URL that stands in plain text, in order."""
    return [_without_punctuation(match[0]) for match in _WEB_ADDRESS.finditer(text)]


def _without_punctuation(address: str) -> str:
    """Drop what ends the sentence rather than the address; a bracket that was opened inside belongs to it."""
    while address and (address[-1] in ".,;:!?*_" or _is_stray_bracket(address)):
        address = address[:-1]
    return address


def _is_stray_bracket(address: str) -> bool:
    opening = _BRACKETS.get(address[-1])
    return opening is not None and address.count(address[-1]) > address.count(opening)
