"""Wakes the exchange loop when there are new tasks."""

from __future__ import annotations

from collections.abc import Collection

from pgflow.listening import Listener, Subscription
from pgflow.worker.exchange import ExchangeLoop


class WakeUp:
    """Lets the exchange loop look into the queues when one of its flows got tasks, and seldom otherwise.

    While notifications can't be relied on the loop looks as often as without.
    """

    def __init__(self, listener: Listener, exchange: ExchangeLoop, flow_slugs: Collection[str]) -> None:
        self._listener = listener
        self._exchange = exchange
        self._flow_slugs = flow_slugs
        self._subscription: Subscription | None = None

    def start(self) -> None:
        """Begin to listen; the loop looks as often as without until that has settled."""
        self._subscription = self._listener.subscribe("tasks", self._hear)
        self._exchange.notified = self._listener.is_settled("tasks")

    def stop(self) -> None:
        """Wake nobody any more; again is fine."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _hear(self, payload: str) -> None:
        self._exchange.notified = self._listener.is_settled("tasks")
        if not payload or payload in self._flow_slugs:
            self._exchange.wake()
