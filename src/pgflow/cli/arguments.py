"""What people type, turned into what calls take."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from pgflow.errors import InvalidInput

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def read_age(text: str, option: str) -> timedelta:
    """Return a length of time like `30d`, `12h` or `1h30m`. Raises InvalidInput for what is none."""
    if _AGE.fullmatch(text.strip().lower()) and text.isascii():
        try:
            parts = _PART.findall(text.strip().lower())
            return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
        except OverflowError:
            raise InvalidInput(f"{option} is too long ago: {text!r}") from None
    raise InvalidInput(f"{option} is a number with a unit, like 30d, 12h, 90m or 45s, not {text!r}")


def read_instant(text: str, option: str) -> datetime:
    """Return a point in time: a date with or without a time, local unless it says more, or how long ago, like `2h`.

    Raises InvalidInput for what is neither.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        return found if found.utcoffset() is not None else found.astimezone()
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.now(UTC) - read_age(text, option)
    except OverflowError:
        raise InvalidInput(f"{option} is too long ago: {text!r}") from None
    except InvalidInput:
        raise InvalidInput(
            f"{option} is a date like 2025-01-31 or 2025-01-31T09:30, or how long ago like 2h or 7d, not {text!r}"
        ) from None


def read_words(given: Iterable[str]) -> list[str]:
    """Return the words that were given, each once; `-` stands for those on standard input."""
    words: dict[str, None] = {}
    for word in given:
        words.update(dict.fromkeys(sys.stdin.read().split() if word == "-" else [word]))
    return list(words)
