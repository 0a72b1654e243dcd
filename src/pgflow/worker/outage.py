"""Telling of something that fails again and again, without telling it again and again."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("pgflow.worker")


class Outage:
    """Logs the first failure in a row, then one per `seconds`, and when it is over."""

    def __init__(self, what: str, seconds: float = 60) -> None:
        self._what = what
        self._seconds = seconds
        self._since: float | None = None
        self._told_at = 0.0

    def tell(self, error: Exception) -> None:
        """Log a failure, unless one has been logged just now."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._told_at < self._seconds:
            return
        self._told_at = now
        logger.warning("%s: %s", self._what, " ".join(str(error).split()) or type(error).__name__)

    def end(self) -> None:
        """Log that it is over, if there was something."""
        if self._since is not None:
            logger.warning("over after %.0f s: %s", time.monotonic() - self._since, self._what)
            self._since = None
