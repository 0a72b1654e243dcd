"""Delays between attempts, where code has more to say about them than the contract's formula."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LONGEST_DELAY: Final = 2_147_483_647
_LARGEST_POWER: Final = 31


@dataclass(frozen=True, slots=True)
class Backoff:
    """`base_delay` seconds, doubled with every attempt, at most `max_delay`, less a random share up to `jitter`.

    Neither `max_delay` nor `jitter` is part of the contract: the worker puts them into its report.
    """

    max_delay: int | None = None
    jitter: float = 0

    def delay(self, base_delay: int, attempt: int) -> int | None:
        """Return the seconds between this attempt, from 1, and the next; None for what the database's formula gives."""
        if self.max_delay is None and not self.jitter:
            return None
        longest = LONGEST_DELAY if self.max_delay is None else self.max_delay
        delay = min(base_delay << min(attempt, _LARGEST_POWER), longest)
        return round(delay * (1 - self.jitter * random.random()))  # noqa: S311 - no secret


def backoff_problems(max_delay: object, jitter: object) -> Iterator[str]:
    """Yield what is wrong with the options; None is an option that wasn't given."""
    if max_delay is not None and (isinstance(max_delay, bool) or not isinstance(max_delay, int)):
        yield f"max_delay must be an integer, not {max_delay!r}"
    elif max_delay is not None and not 0 <= max_delay <= LONGEST_DELAY:
        yield f"max_delay must be from 0 to {LONGEST_DELAY}, not {max_delay}"
    if jitter is not None and (isinstance(jitter, bool) or not isinstance(jitter, int | float)):
        yield f"jitter must be a number from 0 to 1, not {jitter!r}"
    elif jitter is not None and not 0 <= jitter <= 1:
        yield f"jitter must be from 0 to 1, not {jitter}"
