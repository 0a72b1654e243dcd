"""Keeping what workers and clients tell."""

from __future__ import annotations

from typing import Any

OF_A_TASK = ("task.start", "task.stop", "task.exception", "task.discarded")


class Told:
    """A handler that keeps the events."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, float], dict[str, Any]]] = []

    def __call__(self, event: str, measurements: Any, metadata: Any) -> None:
        self.all.append((event, dict(measurements), dict(metadata)))

    def names(self, *wanted: str) -> list[str]:
        return [event for event, _, _ in self.all if event in wanted]

    def about(self, wanted: str) -> list[dict[str, Any]]:
        """Return measurements and metadata of the events of this name."""
        return [measurements | metadata for event, measurements, metadata in self.all if event == wanted]

    def one(self, wanted: str) -> dict[str, Any]:
        (only,) = self.about(wanted)
        return only


def chosen(metadata: dict[str, Any], *keys: str) -> tuple[Any, ...]:
    return tuple(metadata[key] for key in keys)
