"""What was heard of runs lately."""

from __future__ import annotations

from collections import Counter

from pgflow.listening.listener import Listener

_NOTIFICATIONS_OF_A_START = 1
_LARGEST_NUMBER_OF_RUNS = 10_000


class Memory:
    """Remembers of which runs something was heard, for who waits for a run that was started here.

    Its start is notified first, since notifications arrive in the order of commits: so whoever has heard all of them
    from before the start, and one of this run at most, knows that it goes on without a look.

    Called in the thread of the listener's loop; :meth:`mark` in any.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._era = 0
        self._heard: Counter[str] = Counter()
        listener.overhear("runs", self._hear)

    def mark(self) -> int | None:
        """Return what :meth:`is_as_started` is told of runs that are started from now on; None where it can't say."""
        era = self._era  # first: what is missed after this line begins another one
        return era if self._listener.is_settled("runs") else None

    def is_as_started(self, run: str, mark: int | None) -> bool:
        """Whether a run, given as notifications call it, is certainly as its start has left it."""
        return mark == self._era and self._listener.is_settled("runs") and self._heard[run] <= _NOTIFICATIONS_OF_A_START

    def _hear(self, payload: str) -> None:
        if payload and len(self._heard) < _LARGEST_NUMBER_OF_RUNS:
            self._heard.update(payload.split(","))
        else:
            self._era += 1
            self._heard.clear()
