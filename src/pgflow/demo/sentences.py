"""Splitting English prose into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgflow.demo.plain import squeeze

_WIDE_MARKS = "。\uff01\uff1f"
_POSSIBLE_END = re.compile(rf"(?:[.!?…]+[\"'”\u2019)\]]*)(?=\s)|[{_WIDE_MARKS}]")
_NEVER_LAST = frozenset(
    """
    al approx art ca cf ch dr e.g ed eds eq esp fig figs gen i.e incl jr min mr mrs ms mt no nos nr p pp prof resp rev
    sec sect sr st viz vol vs
    """.split()  # noqa: SIM905 - a list of quoted words reads worse
)
_SOMETIMES_LAST = frozenset(["a.m", "p.m", "co", "corp", "etc", "inc", "ltd", "u.k", "u.s"])
_INITIALS = re.compile(r"(?:[A-Z]\.)*[A-Z]")


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph in order.

    Abbreviations (`e.g.`), initials (`J. Smith`), list numbers (`1. First`) end no sentence, and neither do decimals,
    versions and file names (`3.11`, `setup.py`), whose full stop no blank follows. A sentence may begin in lower case,
    as many about programs do.
    """
    text = squeeze(text)
    sentences: list[str] = []
    start = 0
    for end in _ends(text):
        sentences.append(text[start:end].strip())
        start = end
    return [sentence for sentence in (*sentences, text[start:].strip()) if sentence]


def _ends(text: str) -> Iterator[int]:
    start = 0
    for match in _POSSIBLE_END.finditer(text):
        if _is_end(text[start : match.start()].strip(), match[0], text[match.end() : match.end() + 2].lstrip()):
            yield match.end()
            start = match.end()


def _is_end(sentence: str, mark: str, following: str) -> bool:
    if mark.startswith(("..", "…")):
        return following.isupper()
    # After a closing quote or bracket, lower case goes on with the same sentence.
    if following.islower() and mark[-1] not in f".!?{_WIDE_MARKS}":
        return False
    return mark != "." or _full_stop_ends(sentence, following)


def _full_stop_ends(sentence: str, following: str) -> bool:
    before, _, last = sentence.rpartition(" ")
    word = last.lstrip("(\"'“\u2018[")
    if word.lower() in _NEVER_LAST or _INITIALS.fullmatch(word):
        return False
    if word.lower() in _SOMETIMES_LAST:
        return not following.islower()
    return bool(before) or not word.isdecimal()
