"""The blocking client made awaitable, so that one test holds for both twins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pgflow import sync

AT_ONCE = {"step", "core_version"}


class Awaitable:
    """A blocking object whose methods run in a thread and are awaited."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.subject, name)
        return in_thread(value) if callable(value) and name not in AT_ONCE else value


def in_thread(method: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any, **options: Any) -> Any:
        return awaitable(await asyncio.to_thread(method, *arguments, **options))

    return call


def awaitable(value: Any) -> Any:
    if isinstance(value, sync.Run):
        return Awaitable(value)
    return [awaitable(item) for item in value] if isinstance(value, list) else value
