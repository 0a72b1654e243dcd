"""Flows whose tasks the tests work themselves, and one that works on its own because it has no task."""

from __future__ import annotations

from typing import Any

from pgflow import Flow

greeting = Flow("greeting", max_attempts=1, base_delay=0, timeout=60)


@greeting.step
def name(person: Any) -> Any:
    return person


@greeting.step
def greet(name: Any) -> Any:
    return name


each = Flow("each", max_attempts=1, base_delay=0, timeout=60)


@each.map
def double(number: int) -> int:
    return 2 * number
