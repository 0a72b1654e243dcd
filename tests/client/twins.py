"""The blocking client made awaitable, so that one test holds for both twins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from pgflow import sync
from pgflow._sync.listings import RunPage

AT_ONCE = {"step", "core_version", "valid_slug"}
ITERATED = {"all_runs"}


class Awaitable:
    """A blocking object whose methods run in a thread and are awaited."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.subject, name)
        if name in ITERATED:
            return iterated(value)
        return in_thread(value) if callable(value) and name not in AT_ONCE else value


def in_thread(method: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*arguments: Any, **options: Any) -> Any:
        return awaitable(await asyncio.to_thread(method, *arguments, **options))

    return call


def iterated(method: Callable[..., Iterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    async def each(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
        for value in await asyncio.to_thread(lambda: list(method(*arguments, **options))):
            yield awaitable(value)

    return each


def awaitable(value: Any) -> Any:
    if isinstance(value, sync.Run):
        return Awaitable(value)
    if isinstance(value, RunPage):
        return RunPage([awaitable(run) for run in value], value.next_cursor)
    return [awaitable(item) for item in value] if isinstance(value, list) else value
