"""How often to look into the queues, and how many tasks to hold."""

from __future__ import annotations

import random
from dataclasses import dataclass


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

    LARGEST_RESERVE = 500
    LONGEST_AHEAD = 0.25

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self._concurrency = concurrency
        self._handler_seconds: float | None = None
        self._exchange_seconds = 0.0

    @property
    def capacity(self) -> int:
        """How many tasks to hold, those that run included."""
        if self._handler_seconds is None:
            return self._concurrency
        ahead = min(2 * self._exchange_seconds, self.LONGEST_AHEAD)
        reserve = self._concurrency * ahead / max(self._handler_seconds, 1e-6)
        return self._concurrency + min(int(reserve), self.LARGEST_RESERVE)

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
