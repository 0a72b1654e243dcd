"""How often to look into the queues, where to begin, and how many tasks to hold."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class PollInterval:
    """Seconds between two looks at an empty queue: `shortest` after work, growing to `longest` while there is none."""

    shortest: float = 0.02
    longest: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.longest:
            raise ValueError(
                f"poll intervals must satisfy 0 < shortest <= longest, not {self.shortest}, {self.longest}"
            )

    def next(self, previous: float) -> float:
        """Return the pause after `previous`: decorrelated jitter, so that workers spread out."""
        return random.uniform(self.shortest, min(previous * 3, self.longest))  # noqa: S311 - no secret


class Pace:
    """Learns from what handlers and exchanges take how many tasks are worth holding beside those that run.

    A batch in hand keeps handlers busy while the next exchange is on its way. It is what they do in the time of two
    exchanges and in a quarter of a second at most, so that a task doesn't grow old in a worker while others are idle:
    nothing at all for handlers that take longer than that.
    """

    LARGEST_RESERVE = 1000
    LONGEST_AHEAD = 0.25

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self.concurrency = concurrency
        self._handler_seconds: float | None = None
        self._exchange_seconds = 0.0

    @property
    def capacity(self) -> int:
        """How many tasks to hold, those that run included."""
        if self._handler_seconds is None:
            return self.concurrency
        ahead = min(2 * self._exchange_seconds, self.LONGEST_AHEAD)
        reserve = self.concurrency * ahead / max(self._handler_seconds, 1e-6)
        return self.concurrency + min(int(reserve), self.LARGEST_RESERVE)

    def handler_took(self, seconds: float) -> None:
        """Learn from a handler that has ended. Slow ones count at once, fast ones only in the long run."""
        known = self._handler_seconds
        if known is None or seconds > known:
            self._handler_seconds = seconds
        else:
            self._handler_seconds = known + (seconds - known) / 16

    def exchange_took(self, seconds: float) -> None:
        """Learn from an exchange."""
        self._exchange_seconds += (seconds - self._exchange_seconds) / 8


class Bookmarks:
    """Where to go on reading in queues that hold more than was taken.

    Taken messages leave dead entries where reading begins, and nobody can remove them while an old transaction is open.
    A message may become visible behind a bookmark, when its transaction took long or was rolled back: hence the margin,
    and a look from the beginning every few seconds and whenever a queue seems to be empty.
    """

    MARGIN = timedelta(seconds=1)
    LONGEST = 5.0

    def __init__(self) -> None:
        self._positions: dict[str, datetime] = {}
        self._since_beginning = 0.0

    def positions(self, flow_slugs: Iterable[str]) -> list[datetime | None]:
        """Return where to begin in the queues of these flows; None is the beginning."""
        now = time.monotonic()
        if now - self._since_beginning > self.LONGEST:
            self._positions.clear()
            self._since_beginning = now
        return [self._positions.get(flow_slug) for flow_slug in flow_slugs]

    def move(self, flow_slugs: Iterable[str], read_until: Sequence[datetime | None]) -> None:
        """Remember how far these queues were read; None is to the end."""
        for flow_slug, position in zip(flow_slugs, read_until, strict=False):
            if position is None:
                self._positions.pop(flow_slug, None)
            else:
                self._positions[flow_slug] = position - self.MARGIN
